//! What the timeouts of a cluster and of its ensemble must be to each other. A setting that breaks one of these rules
//! would do nothing, or harm, without a word from either server. Pure.

use crate::model::Output;
use crate::role::{Broker, Zookeeper};
use crate::stack::{Fault, Stack};
use crate::zookeeper::OWN_TIMEOUT;
use std::collections::BTreeMap;

type Settings = BTreeMap<String, Output<String>>;

const SESSION: &str = "zookeeper.session.timeout.ms";
const LAG: &str = "replica.lag.time.max.ms";

/// The settings of one service, and the section of the stack file where they stand.
struct Section<'a> {
    name: &'a str,
    settings: &'a Settings,
    defaults: Settings,
}

impl Section<'_> {
    fn path(&self, setting: &str) -> String {
        format!("{}.settings.{setting}", self.name)
    }

    fn is_own(&self, setting: &str) -> bool {
        self.settings.get(setting) != self.defaults.get(setting)
    }

    /// A setting's value; `None` where it isn't set, isn't known before `up`, or is no number, which is a fault.
    fn number(&self, setting: &str, faults: &mut Vec<Fault>) -> Option<i64> {
        let text = self.settings.get(setting)?.known().ok()?;
        let number = text.trim().parse().ok();
        if number.is_none() {
            let message = format!("`{text}` is no whole number");
            faults.push(Fault::new(self.path(setting), message, "write a whole number"));
        }
        number
    }
}

/// Checks the brokers' settings, those of the cluster `kafka`, against those of the ensemble `zookeeper`.
pub(super) fn check(stack: &mut Stack, kafka: &str, brokers: &Settings, zookeeper: &str) {
    // That a cluster needs an ensemble which isn't declared is told elsewhere.
    let Some(servers) = stack.member(zookeeper).map(|facts| facts.settings) else { return };
    let kafka = Section { name: kafka, settings: brokers, defaults: Broker::default_settings(1, 1) };
    let zookeeper = Section { name: zookeeper, settings: &servers, defaults: Zookeeper::default_settings() };
    faults(&kafka, &zookeeper).into_iter().for_each(|fault| stack.fault(fault));
}

fn faults(kafka: &Section<'_>, zookeeper: &Section<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let session = kafka.number(SESSION, &mut faults);
    let lag = kafka.number(LAG, &mut faults);
    let [tick, sync_limit, least, most] = ["tickTime", "syncLimit", "minSessionTimeout", "maxSessionTimeout"]
        .map(|setting| zookeeper.number(setting, &mut faults));
    let (Some(session), Some(lag), Some(tick), Some(sync_limit)) = (session, lag, tick, sync_limit) else {
        return faults;
    };
    // ZooKeeper's own defaults, which -1 stands for.
    let least = least.filter(|least| *least != -1).unwrap_or(2 * tick);
    let most = most.filter(|most| *most != -1).unwrap_or(20 * tick);
    // Where the file says it; of several, the first.
    let at = |places: &[(&Section<'_>, &str)]| {
        let own = places.iter().find(|(section, setting)| section.is_own(setting));
        let (section, setting) = own.or(places.first()).expect("a rule is about some setting");
        section.path(setting)
    };
    if session < least {
        faults.push(Fault::new(
            at(&[(kafka, SESSION), (zookeeper, "minSessionTimeout"), (zookeeper, "tickTime")]),
            format!("brokers ask for a session of {session} ms, and ZooKeeper gives none under {least} ms"),
            format!("write `{SESSION}` = {least} or more (2 × tickTime, or minSessionTimeout)"),
        ));
    }
    if session > most {
        faults.push(Fault::new(
            at(&[(kafka, SESSION), (zookeeper, "maxSessionTimeout"), (zookeeper, "tickTime")]),
            format!("brokers ask for a session of {session} ms, and ZooKeeper gives none over {most} ms"),
            format!("write `{SESSION}` = {most} or less, or `maxSessionTimeout` = {session} or more"),
        ));
    }
    // What watchdogs ask and rolls claim is there for as long as others count on it.
    let own = i64::try_from(OWN_TIMEOUT.as_millis()).unwrap_or(i64::MAX);
    if most < own {
        faults.push(Fault::new(
            at(&[(zookeeper, "maxSessionTimeout"), (zookeeper, "tickTime")]),
            format!(
                "watchdogs and rolls ask for a session of {own} ms, and ZooKeeper gives none over {most} ms: what they say \
                 in it would be over before it is acted on"
            ),
            format!("write `maxSessionTimeout` = {own} or more"),
        ));
    }
    // A client gives a server up after two thirds of a session, and the session lasts another whole one from its last
    // word, and ends on a tick. The bound itself is too long.
    let deaf = (5 * session + 2) / 3 + tick;
    if deaf >= lag {
        let longest = ((3 * (lag - tick) - 1) / 5).max(0);
        faults.push(Fault::new(
            at(&[(kafka, SESSION), (kafka, LAG), (zookeeper, "tickTime")]),
            format!(
                "a broker that can't receive keeps a session of {session} ms for {deaf} ms (5/3 and a tick), and its \
                 followers stay in the ISR for {lag} ms: then nobody may lead in its place"
            ),
            format!("write `{SESSION}` = {longest} or less, or `{LAG}` over {deaf}"),
        ));
    }
    let patience = sync_limit * tick;
    if patience >= session {
        faults.push(Fault::new(
            at(&[(zookeeper, "syncLimit"), (zookeeper, "tickTime"), (kafka, SESSION)]),
            format!(
                "a ZooKeeper leader that stands still keeps its followers for {patience} ms (syncLimit × tickTime), and \
                 sessions last {session} ms: as it wakes, it would end all of them"
            ),
            format!("write `syncLimit` = {} or less, or a longer `{SESSION}`", ((session - 1) / tick.max(1)).max(0)),
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(brokers: &[(&str, &str)], servers: &[(&str, &str)]) -> String {
        let with = |mut settings: Settings, own: &[(&str, &str)]| {
            settings.extend(own.iter().map(|(name, value)| ((*name).to_owned(), Output::from(*value))));
            settings
        };
        let (broker_defaults, server_defaults) =
            (Broker::default_settings(3, 2), Zookeeper::default_settings());
        let brokers = with(broker_defaults.clone(), brokers);
        let servers = with(server_defaults.clone(), servers);
        let kafka = Section { name: "kafka", settings: &brokers, defaults: broker_defaults };
        let zookeeper = Section { name: "zookeeper", settings: &servers, defaults: server_defaults };
        let told = |fault: Fault| format!("{}: {} ({})", fault.path, fault.message, fault.hint);
        faults(&kafka, &zookeeper).into_iter().map(told).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_defaults_agree_with_each_other() {
        assert_eq!(found(&[], &[]), "");
    }

    #[test]
    fn a_session_that_zookeeper_would_not_give_is_a_fault() {
        insta::assert_snapshot!(found(&[(SESSION, "1999")], &[("syncLimit", "1")]), @"kafka.settings.zookeeper.session.timeout.ms: brokers ask for a session of 1999 ms, and ZooKeeper gives none under 2000 ms (write `zookeeper.session.timeout.ms` = 2000 or more (2 × tickTime, or minSessionTimeout))");
        assert_eq!(found(&[(SESSION, "2000")], &[("syncLimit", "1")]), "");
        insta::assert_snapshot!(found(&[(SESSION, "60001"), (LAG, "110000")], &[]), @"kafka.settings.zookeeper.session.timeout.ms: brokers ask for a session of 60001 ms, and ZooKeeper gives none over 60000 ms (write `zookeeper.session.timeout.ms` = 60000 or less, or `maxSessionTimeout` = 60001 or more)");
        assert_eq!(found(&[(SESSION, "60000"), (LAG, "110000")], &[]), "");
        // What ZooKeeper does where nothing is said, or -1.
        insta::assert_snapshot!(
            found(&[(SESSION, "20001"), (LAG, "110000")], &[("maxSessionTimeout", "-1")]), @"kafka.settings.zookeeper.session.timeout.ms: brokers ask for a session of 20001 ms, and ZooKeeper gives none over 20000 ms (write `zookeeper.session.timeout.ms` = 20000 or less, or `maxSessionTimeout` = 20001 or more)"
        );
        insta::assert_snapshot!(found(&[(SESSION, "3999")], &[("maxSessionTimeout", "3999"), ("syncLimit", "1")]), @"zookeeper.settings.maxSessionTimeout: watchdogs and rolls ask for a session of 4000 ms, and ZooKeeper gives none over 3999 ms: what they say in it would be over before it is acted on (write `maxSessionTimeout` = 4000 or more)");
        assert_eq!(found(&[(SESSION, "4000")], &[("maxSessionTimeout", "4000"), ("syncLimit", "1")]), "");
        insta::assert_snapshot!(found(&[], &[("minSessionTimeout", "13000")]), @"zookeeper.settings.minSessionTimeout: brokers ask for a session of 12000 ms, and ZooKeeper gives none under 13000 ms (write `zookeeper.session.timeout.ms` = 13000 or more (2 × tickTime, or minSessionTimeout))");
    }

    #[test]
    fn a_session_that_outlasts_the_isr_of_a_deaf_leader_is_a_fault() {
        assert_eq!(found(&[(SESSION, "12599")], &[]), "", "21.0 s and a tick are less than 22 s by a hair");
        insta::assert_snapshot!(found(&[(SESSION, "12600")], &[]), @"kafka.settings.zookeeper.session.timeout.ms: a broker that can't receive keeps a session of 12600 ms for 22000 ms (5/3 and a tick), and its followers stay in the ISR for 22000 ms: then nobody may lead in its place (write `zookeeper.session.timeout.ms` = 12599 or less, or `replica.lag.time.max.ms` over 22000)");
        insta::assert_snapshot!(found(&[(LAG, "21000")], &[]), @"kafka.settings.replica.lag.time.max.ms: a broker that can't receive keeps a session of 12000 ms for 21000 ms (5/3 and a tick), and its followers stay in the ISR for 21000 ms: then nobody may lead in its place (write `zookeeper.session.timeout.ms` = 11999 or less, or `replica.lag.time.max.ms` over 21000)");
        insta::assert_snapshot!(found(&[], &[("tickTime", "2000"), ("syncLimit", "2")]), @"zookeeper.settings.tickTime: a broker that can't receive keeps a session of 12000 ms for 22000 ms (5/3 and a tick), and its followers stay in the ISR for 22000 ms: then nobody may lead in its place (write `zookeeper.session.timeout.ms` = 11999 or less, or `replica.lag.time.max.ms` over 22000)");
    }

    #[test]
    fn followers_that_outwait_a_session_are_a_fault() {
        assert_eq!(found(&[], &[("syncLimit", "11")]), "");
        insta::assert_snapshot!(found(&[], &[("syncLimit", "12")]), @"zookeeper.settings.syncLimit: a ZooKeeper leader that stands still keeps its followers for 12000 ms (syncLimit × tickTime), and sessions last 12000 ms: as it wakes, it would end all of them (write `syncLimit` = 11 or less, or a longer `zookeeper.session.timeout.ms`)");
        insta::assert_snapshot!(found(&[(SESSION, "5000")], &[]), @"kafka.settings.zookeeper.session.timeout.ms: a ZooKeeper leader that stands still keeps its followers for 5000 ms (syncLimit × tickTime), and sessions last 5000 ms: as it wakes, it would end all of them (write `syncLimit` = 4 or less, or a longer `zookeeper.session.timeout.ms`)");
    }

    #[test]
    fn what_is_no_number_is_told_and_compared_with_nothing() {
        insta::assert_snapshot!(found(&[(SESSION, "12s")], &[("tickTime", "")]), @"
        kafka.settings.zookeeper.session.timeout.ms: `12s` is no whole number (write a whole number)
        zookeeper.settings.tickTime: `` is no whole number (write a whole number)
        ");
    }
}
