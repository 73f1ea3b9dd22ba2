//! Has a machine run another system. What does so runs there in a unit of its own and needs no link: whatever becomes of
//! Octad and of the way there, the machine ends on the system before or on the new one, and boots the one before until the
//! change is confirmed.

use super::error::NixosError;
use super::link::Link;
use crate::clock::Until;
use crate::nix::StorePath;
use crate::ssh::quoted;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};

/// What does it there.
const SCRIPT: &str = include_str!("scripts/change.sh");
/// Within this time after a change somebody must reach the machine by a connection that is made anew, or it goes back: a
/// change may have cut it off.
const REACH: Duration = Duration::from_secs(60);
/// How often it is asked how far it is.
const POLL: Duration = Duration::from_millis(200);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How long a change may take beyond the end of its nodes' processes.
const LONGEST: Duration = Duration::from_secs(900);

/// What a machine is to do.
pub(super) enum Goal<'a> {
    /// Run this system on trial, with these nodes begun anew.
    Try {
        /// The system, which it has.
        system: &'a StorePath,
        /// The nodes.
        anew: Vec<&'a str>,
        /// Until when their processes may be asked to end.
        until: Option<Until>,
        /// How long each may take for that.
        patience: Duration,
    },
    /// Run this system for good, where that begins nobody anew.
    Keep {
        /// The system, which it has.
        system: &'a StorePath,
    },
    /// Keep what is on trial.
    Confirm,
    /// Run what it ran before the trial.
    Revert {
        /// Until when processes may be asked to end.
        until: Until,
        /// How long each may take for that.
        patience: Duration,
    },
}

impl Goal<'_> {
    fn until(&self) -> Option<Until> {
        match self {
            Self::Try { until, .. } => *until,
            Self::Revert { until, .. } => Some(*until),
            Self::Keep { .. } | Self::Confirm => None,
        }
    }

    fn patience(&self) -> Duration {
        match self {
            Self::Try { patience, .. } | Self::Revert { patience, .. } => *patience,
            Self::Keep { .. } | Self::Confirm => Duration::ZERO,
        }
    }

    /// The script with what it is told, as a moment of the machine's own clock has it.
    fn script(&self, token: &str, deadline: Option<u64>) -> String {
        let (what, system, anew) = match self {
            Self::Try { system, anew, .. } => ("try", system.as_str(), anew.join(" ")),
            Self::Keep { system } => ("keep", system.as_str(), String::new()),
            Self::Confirm => ("confirm", "", String::new()),
            Self::Revert { .. } => ("revert", "", String::new()),
        };
        let deadline = deadline.map_or_else(|| "-".to_owned(), |deadline| deadline.to_string());
        format!(
            "token={token}\nwhat={what}\nnew={}\nanew={}\ndeadline={deadline}\npatience={}\nreach={}\n{SCRIPT}",
            quoted(system),
            quoted(&anew),
            self.patience().as_secs().max(1),
            REACH.as_secs(),
        )
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// It was too late to stop a process, and nothing changed.
    Late,
}

/// Has a machine do that, and waits for the end of it.
pub(super) async fn change(link: &Link, host: &str, goal: &Goal<'_>) -> Result<Outcome, NixosError> {
    let failed = |tried: &str, said: &str| NixosError::Failed {
        host: host.to_owned(),
        tried: tried.to_owned(),
        said: said.to_owned(),
    };
    let deadline = match goal.until() {
        None => None,
        Some(until) => {
            let asked = link.run("asked for its clock", "cat /proc/uptime", ANSWER).await?;
            // It read its clock before this moment: what is left from now on is left from then on as well.
            let left = until.left();
            let uptime = asked.said.split(' ').next().and_then(|seconds| seconds.parse::<f64>().ok());
            let uptime = uptime.ok_or_else(|| failed("read the clock", &asked.said))?;
            Some((uptime * 1000.0) as u64 + u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
        }
    };
    let token = token();
    let begin = format!("token={token}\nscript={}\n{BEGIN}", quoted(&goal.script(&token, deadline)));
    let begun = link.run("told to change", &begin, ANSWER).await?;
    match (begun.code, begun.said.as_str()) {
        (0, "busy") => return Err(NixosError::Busy { host: host.to_owned() }),
        (0, _) => {}
        (_, said) => return Err(failed("begin a change", said)),
    }
    let ends = Instant::now() + LONGEST + goal.patience();
    let mut reached = false;
    loop {
        if Instant::now() > ends {
            return Err(failed("see the end of a change", "it takes too long"));
        }
        let answer =
            match link.run("asked how far its change is", &format!("token={token}\n{PHASE}"), ANSWER).await {
                Ok(answer) => answer,
                // The change may have cut the way, or the machine is at its boot: it goes back by itself then.
                Err(_) if Instant::now() < ends => {
                    sleep(POLL * 5).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
        let (phase, rest) = answer.said.split_once(' ').unwrap_or((&answer.said, ""));
        match phase {
            "done" => return Ok(Outcome::Done),
            "late" => return Ok(Outcome::Late),
            "broken" => {
                return Err(NixosError::WentBack { host: host.to_owned(), said: rest.to_owned() });
            }
            "gone" => return Err(failed("change what it runs", "it was cut off on the way")),
            "changed" if !reached => {
                // By a connection that what it runs now has let in.
                link.renew().await;
                let noted = link.run("reached", "touch /run/octad-deploy/reached", ANSWER).await;
                reached = noted.is_ok_and(|answer| answer.code == 0);
            }
            _ => {}
        }
        sleep(POLL).await;
    }
}

/// Begins the unit, once: a second time it is found at work. Other programs than those of the system that runs are not asked
/// for, so that one that was broken isn't needed to go back.
const BEGIN: &str = r#"run=/run/octad-deploy
mkdir -p "$run"
if systemctl is-active --quiet octad-switch.service; then
  [ "$(cat "$run/token" 2>/dev/null)" = "$token" ] || echo busy
  exit 0
fi
[ "$(cat "$run/token" 2>/dev/null)" != "$token" ] || exit 0
echo "$token" >"$run/token"
rm -f "$run/phase"
printf %s "$script" >"$run/change.sh" || exit 1
systemctl reset-failed octad-switch.service 2>/dev/null
exec systemd-run --unit=octad-switch --description="a change of the system by octad" --collect --quiet --setenv=LC_ALL=C \
  --setenv=PATH="$(readlink -f /run/current-system)/sw/bin:/run/wrappers/bin" /bin/sh "$run/change.sh"
"#;

/// Tells how far it is.
const PHASE: &str = r#"run=/run/octad-deploy
[ "$(cat "$run/token" 2>/dev/null)" = "$token" ] || { echo gone; exit; }
works=$(systemctl is-active octad-switch.service)
phase=$(cat "$run/phase" 2>/dev/null)
case $phase in
  done* | late* | broken*) ;;
  *) case $works in active | activating | deactivating) ;; *) phase=gone ;; esac ;;
esac
echo "$phase"
"#;

/// Tells one change from another.
fn token() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", std::process::id(), now.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_are_such_that_a_shell_reads_them() {
        let system: StorePath = "/nix/store/00000000000000000000000000000000-x".parse().unwrap();
        let goal =
            Goal::Try { system: &system, anew: vec!["zk-1", "broker-1"], until: None, patience: LONGEST };
        let begin = format!("token=t\nscript={}\n{BEGIN}", quoted(&goal.script("t", Some(5))));
        for script in [goal.script("t", None), begin, PHASE.to_owned()] {
            let read = std::process::Command::new("sh").args(["-n", "-c", &script]).output().unwrap();
            assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        }
        assert!(goal.script("t", Some(5)).contains("anew='zk-1 broker-1'\ndeadline=5\npatience=900\n"));
    }
}
