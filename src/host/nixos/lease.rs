//! Who may change a machine: the lease that it keeps on record, by the rule of [`LeaseRecord`], and what runs there under one.

use super::error::NixosError;
use super::link::Link;
use crate::host::{Lease, LeaseRecord, LeaseRequest};
use crate::ssh::quoted;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Reads the record.
const RECORDED: &str = include_str!("scripts/recorded.sh");
/// Gives a lease.
const SCRIPT: &str = include_str!("scripts/lease.sh");
/// Stands before what changes the machine.
const DEED: &str = include_str!("scripts/deed.sh");
/// How long a machine may take to answer.
const ANSWER: Duration = Duration::from_secs(20);
/// What is to be done ends with this where there is no lease any more.
pub(super) const NO_LEASE: i32 = 77;
/// What it says then, where nobody else has come.
pub(super) const PASSED: &str = "passed";
/// And where it was at its boot meanwhile.
pub(super) const BOOTED: &str = "booted";
/// It ends with this where something else is under way.
pub(super) const AT_WORK: i32 = 76;

/// Stands for nobody.
const NOBODY: &str = "-";

/// The lease that this process has on all machines of the backend.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases(Arc<Mutex<Option<Arc<Lease>>>>);

impl Leases {
    pub(super) fn work_under(&self, lease: &Arc<Lease>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease.clone());
    }

    /// The lease, as long as it holds.
    pub(super) fn current(&self) -> Option<Arc<Lease>> {
        let lease = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        lease.filter(|lease| !lease.until().has_passed())
    }
}

/// A machine's clock.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// What tells one boot from another.
    boot: String,
    /// Since then, in milliseconds.
    pub(super) uptime_ms: u64,
}

impl Clock {
    /// Tells it.
    pub(super) const SCRIPT: &str = "cat /proc/sys/kernel/random/boot_id /proc/uptime";

    pub(super) fn of(said: &str) -> Option<Self> {
        let (boot, uptime) = said.split_once('\n')?;
        let seconds: f64 = uptime.split(' ').next()?.parse().ok()?;
        Some(Self { boot: boot.to_owned(), uptime_ms: (seconds * 1000.0) as u64 })
    }

    /// After so long.
    pub(super) fn after(&self, time: Duration) -> u64 {
        self.uptime_ms + u64::try_from(time.as_millis()).unwrap_or(0)
    }
}

/// Whether something may be done while the machine is at a change of its system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// It sees to that itself.
    Change,
    /// It waits for the end of that.
    Nothing,
}

/// A script that is done under a lease only, by a machine of which the clock was so.
pub(super) fn deed(lease: &Lease, clock: &Clock, beside: Beside, script: &str) -> String {
    under(lease, &clock.boot, clock.after(lease.until().left()), beside, script)
}

/// A script that is done under a lease only, in this boot and before this uptime, in milliseconds.
fn under(lease: &Lease, boot: &str, before: u64, beside: Beside, script: &str) -> String {
    let beside = if beside == Beside::Change { "yes" } else { "" };
    format!(
        "beside={beside}\nrecorded() {{\n{RECORDED}}}\nlease_id={}\nlease_token={}\nlease_boot={}\nlease_before={before}\nlease_holder={}\n{DEED}{script}",
        quoted(&lease.id),
        lease.token,
        quoted(boot),
        quoted(&lease.holder),
    )
}

/// Asks a machine for a lease.
pub(super) async fn lease(
    link: &Link,
    host: &str,
    request: &LeaseRequest,
) -> Result<LeaseRecord, NixosError> {
    let answer = link.run_beside("asked who may change it", &asking(request), ANSWER).await?;
    let (host, said) = (host.to_owned(), answer.said);
    match (answer.code, record(&said)) {
        (0, Some(record)) => Ok(record),
        (0, None) => Err(NixosError::Strange { host, said }),
        _ => Err(NixosError::Failed { host, tried: "note who may change it".into(), said }),
    }
}

fn asking(request: &LeaseRequest) -> String {
    let LeaseRequest { id, token, lease, over, holder } = request;
    format!(
        "recorded() {{\n{RECORDED}}}\nid={}\ntoken={token}\nlease={}\nover={}\nholder={}\n{SCRIPT}",
        quoted(id),
        lease.as_millis(),
        quoted(over.as_deref().unwrap_or(NOBODY)),
        quoted(holder),
    )
}

/// What it told.
fn record(said: &str) -> Option<LeaseRecord> {
    let words: Vec<&str> = said.strip_prefix("lease ")?.splitn(5, ' ').collect();
    let [token, id, left, busy, holder] = words.try_into().ok()?;
    let named = |word: &str| if word == NOBODY { String::new() } else { word.to_owned() };
    Some(LeaseRecord {
        token: token.parse().ok()?,
        id: named(id),
        left: Duration::from_millis(left.parse().ok()?),
        is_busy: busy != NOBODY,
        holder: named(holder),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Until;
    use proptest::prelude::*;
    use std::fs;
    use std::process::{Command, Stdio};

    /// A machine of which only the clock and the files are made up: a real shell runs the real scripts.
    struct Machine {
        root: tempfile::TempDir,
        boot: u32,
        uptime: u64,
    }

    impl Machine {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            for directory in ["var/lib", "run", "proc/sys/kernel/random"] {
                fs::create_dir_all(root.path().join(directory)).unwrap();
            }
            Self { root, boot: 1, uptime: 100_000 }
        }

        fn boot_id(&self) -> String {
            format!("boot-{}", self.boot)
        }

        fn run(&self, script: &str) -> (i32, String) {
            let root = self.root.path();
            let (seconds, hundredths) = (self.uptime / 1000, self.uptime % 1000 / 10);
            fs::write(root.join("proc/uptime"), format!("{seconds}.{hundredths:02} 1.00\n")).unwrap();
            fs::write(root.join("proc/sys/kernel/random/boot_id"), self.boot_id() + "\n").unwrap();
            let below = |path: &str| root.join(path).display().to_string();
            let script = script
                .replace("/var/lib/octad-deploy", &below("var/lib/octad-deploy"))
                .replace("/run/octad-deploy", &below("run/octad-deploy"))
                .replace("/proc/", &below("proc/"));
            let done = Command::new("sh").args(["-c", &script]).stderr(Stdio::inherit()).output().unwrap();
            (done.status.code().unwrap(), String::from_utf8(done.stdout).unwrap().trim_end().to_owned())
        }

        fn ask(&self, request: &LeaseRequest) -> LeaseRecord {
            let (code, said) = self.run(&asking(request));
            assert_eq!(code, 0, "{said}");
            record(&said).unwrap()
        }

        /// Whether it was done.
        fn does(&self, lease: &Lease, boot: &str, before: u64) -> bool {
            match self.run(&under(lease, boot, before, Beside::Change, "echo done")) {
                (0, said) if said == "done" => true,
                (NO_LEASE, _) => false,
                other => panic!("{other:?}"),
            }
        }

        /// Nothing was written.
        fn is_untouched(&self) -> bool {
            ["var/lib/octad-deploy", "run/octad-deploy"]
                .iter()
                .all(|path| !self.root.path().join(path).exists())
        }
    }

    #[derive(Debug, Clone)]
    enum Act {
        Pass(u64),
        Ask { who: u8, token: u64, lease: u64, over: Option<u8> },
        Do { who: u8, token: u64, within: u64 },
        Boot,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            (0..400u64).prop_map(|hundredths| Act::Pass(hundredths * 100)),
            (0..3u8, 0..5u64, prop_oneof![Just(0), Just(60)], proptest::option::of(0..3u8))
                .prop_map(|(who, token, lease, over)| Act::Ask { who, token, lease, over }),
            (0..3u8, 0..5u64, 0..60u64).prop_map(|(who, token, within)| Act::Do { who, token, within }),
            Just(Act::Boot),
        ];
        proptest::collection::vec(act, 1..16)
    }

    fn request(who: u8, token: u64, lease: u64, over: Option<u8>) -> LeaseRequest {
        LeaseRequest {
            id: format!("l-{who}"),
            token,
            lease: Duration::from_secs(lease),
            over: over.map(|who| format!("l-{who}")),
            holder: format!("{{\"user\":\"it's {who}\"}}"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_machine_keeps_to_the_rules(acts in acts()) {
            let mut machine = Machine::new();
            let mut record = LeaseRecord::default();
            let mut lease_of = Duration::ZERO;
            for act in acts {
                match act {
                    Act::Pass(millis) => {
                        machine.uptime += millis;
                        record.left = record.left.saturating_sub(Duration::from_millis(millis));
                    }
                    Act::Ask { who, token, lease, over } => {
                        let request = request(who, token, lease, over);
                        let after = record.clone().after(&request);
                        if after.id == request.id && after.token == token && after.left == request.lease {
                            lease_of = request.lease;
                        }
                        record = after;
                        prop_assert_eq!(machine.ask(&request), record.clone());
                    }
                    Act::Do { who, token, within } => {
                        let lease = Lease::new(&request(who, token, 60, None), Until::within(Duration::ZERO));
                        let left = Duration::from_secs(within);
                        let before = machine.uptime + within * 1000;
                        let after = record.clone().acting(&lease.id, token, left, &lease.holder);
                        prop_assert_eq!(machine.does(&lease, &machine.boot_id(), before), after.is_some());
                        if let Some(after) = after {
                            if after.token != record.token {
                                lease_of = left;
                            }
                            record = after;
                        }
                    }
                    // As if it had been given just now, since nobody knows how long it was off.
                    Act::Boot => {
                        machine.boot += 1;
                        machine.uptime = 0;
                        record.left = lease_of;
                    }
                }
            }
        }
    }

    #[test]
    fn who_only_looks_leaves_nothing_behind() {
        let machine = Machine::new();
        assert_eq!(machine.ask(&request(1, 0, 60, None)), LeaseRecord::default());
        assert!(machine.is_untouched());
        machine.ask(&request(1, 1, 60, None));
        assert!(!machine.is_untouched());
    }

    #[test]
    fn a_machine_that_has_just_booted_has_a_lease_as_well() {
        let mut machine = Machine::new();
        let request = request(1, 1, 60, None);
        for uptime in [0, 80, 90, 100, 800, 990, 1_080, 8_000] {
            machine.uptime = uptime;
            assert_eq!(machine.ask(&request).left, request.lease, "{uptime} ms");
        }
    }

    #[test]
    fn what_comes_from_another_boot_is_not_done() {
        let mut machine = Machine::new();
        let request = request(1, 1, 60, None);
        machine.ask(&request);
        let lease = Lease::new(&request, Until::within(Duration::ZERO));
        assert!(machine.does(&lease, "boot-1", 150_000));
        (machine.boot, machine.uptime) = (2, 1_000);
        assert!(!machine.does(&lease, "boot-1", 150_000));
        assert!(machine.does(&lease, "boot-2", 50_000));
    }

    #[test]
    fn nobody_else_gets_a_lease_while_something_is_under_way() {
        let machine = Machine::new();
        let first = request(1, 1, 60, None);
        machine.ask(&first);
        let lease = Lease::new(&first, Until::within(Duration::ZERO));
        let (started, ended) = (machine.root.path().join("started"), machine.root.path().join("ended"));
        let script = format!(
            ": >{}\nwhile [ ! -e {} ]; do sleep 0.02; done",
            quoted(&started.display().to_string()),
            quoted(&ended.display().to_string())
        );
        std::thread::scope(|scope| {
            scope.spawn(|| machine.run(&under(&lease, "boot-1", 150_000, Beside::Change, &script)));
            while !started.exists() {
                std::thread::yield_now();
            }
            assert!(machine.ask(&request(2, 2, 60, Some(1))).is_busy);
            let renewed = machine.ask(&first);
            assert!(renewed.is_busy && renewed.id == first.id && !renewed.left.is_zero());
            fs::write(&ended, "").unwrap();
        });
        let taken = machine.ask(&request(2, 2, 60, Some(1)));
        assert_eq!((taken.id.as_str(), taken.is_busy), ("l-2", false));
    }
}
