//! Has a machine run another system. What does so runs there in a unit of its own and needs no link: whatever becomes of
//! Octad and of the way there, the machine ends on the system before or on the new one, and boots the one before until the
//! change is confirmed.

use super::error::NixosError;
use super::lease::{Beside, Clock};
use super::link::Link;
use super::look::UNKNOWN;
use super::systems::Brought;
use crate::clock::Until;
use crate::host::HostError;
use crate::ssh::quoted;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};

/// What does it there.
const SCRIPT: &str = include_str!("scripts/change.sh");
/// Within this time after a change somebody must reach the machine by a connection that is made anew, or it goes back: a
/// change may have cut it off.
const REACH: Duration = Duration::from_secs(60);
/// How long a boot may take, of servers that count their memory too.
const BOOT: Duration = Duration::from_secs(900);
/// How often it is asked how far it is.
const POLL: Duration = Duration::from_millis(200);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How long a switch may take. One that hangs is ended then, and the machine goes back.
const SWITCH: Duration = Duration::from_secs(600);
/// For so long the way to a machine may be broken, beyond the time within which it must be reached: it has gone back by then.
const SILENCE: Duration = Duration::from_secs(60);

/// What a machine is to do.
pub(super) enum Goal<'a> {
    /// Run this system on trial, with these nodes begun anew, and with them all others that it begins anew.
    Try {
        /// The system, which it has.
        system: &'a Brought,
        /// The nodes, each with until when its process may be asked to end.
        anew: Vec<(&'a str, Option<Until>)>,
        /// How long each may take for that.
        patience: Duration,
    },
    /// Run this system for good, where that begins nobody anew.
    Keep {
        /// The system, which it has.
        system: &'a Brought,
    },
    /// Boot this system from now on, and go on as it is.
    Later {
        /// The system, which it has.
        system: &'a Brought,
    },
    /// Boot, with these nodes ended before.
    Boot {
        /// The nodes, each with until when its process may be asked to end.
        anew: Vec<(&'a str, Option<Until>)>,
        /// How long each may take for that.
        patience: Duration,
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
    fn patience(&self) -> Duration {
        match self {
            Self::Try { patience, .. } | Self::Boot { patience, .. } | Self::Revert { patience, .. } => {
                *patience
            }
            Self::Keep { .. } | Self::Later { .. } | Self::Confirm => Duration::ZERO,
        }
    }

    /// Until when others may be asked to end than those that are named.
    fn until(&self) -> Option<Until> {
        match self {
            Self::Try { anew, .. } | Self::Boot { anew, .. } => {
                anew.iter().filter_map(|(_, until)| *until).min()
            }
            Self::Revert { until, .. } => Some(*until),
            Self::Keep { .. } | Self::Later { .. } | Self::Confirm => None,
        }
    }

    /// How long it may take in all: a switch, and one back.
    fn longest(&self) -> Duration {
        (SWITCH + self.patience()) * 2 + REACH + SILENCE
    }

    /// The script with what it is told under a lease of this token, for a machine of which the clock was so before.
    fn script(&self, clock: &Clock, wave: u64) -> String {
        let (what, brought) = match self {
            Self::Try { system, .. } => ("try", Some(*system)),
            Self::Keep { system } => ("keep", Some(*system)),
            Self::Later { system } => ("later", Some(*system)),
            Self::Boot { .. } => ("boot", None),
            Self::Confirm => ("confirm", None),
            Self::Revert { .. } => ("revert", None),
        };
        let deadline = |until: Option<Until>| match until {
            None => "-".to_owned(),
            Some(until) => clock.after(until.left()).to_string(),
        };
        let anew: Vec<String> = match self {
            Self::Try { anew, .. } | Self::Boot { anew, .. } => {
                anew.iter().map(|(node, until)| format!("{node}={}", deadline(*until))).collect()
            }
            _ => Vec::new(),
        };
        format!(
            "what={what}\nnew={}\nmade={}\nanew={}\ndeadline={}\npatience={}\nreach={}\nlongest={}\n{SCRIPT}",
            quoted(brought.map_or("", |brought| brought.system.as_str())),
            quoted(&brought.map_or_else(String::new, |brought| {
                format!("{} {wave}", brought.sources.as_deref().unwrap_or(UNKNOWN))
            })),
            quoted(&anew.join(" ")),
            deadline(self.until()),
            self.patience().as_secs().max(1),
            REACH.as_secs(),
            SWITCH.as_secs(),
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

/// Has a machine do that, and waits for the end of it, and for that of a change before.
pub(super) async fn change(link: &Link, host: &str, goal: &Goal<'_>) -> Result<Outcome, HostError> {
    let failed = |tried: &str, said: &str| failed(host, tried, said);
    let ends = Instant::now() + goal.longest();
    let token = begin(link, host, goal, ends).await?;
    let mut heard = Instant::now();
    loop {
        if Instant::now() > ends {
            return Err(failed("see the end of a change", "it takes too long"));
        }
        let asked = link.run("asked how far its change is", &format!("token={token}\n{PHASE}"), ANSWER).await;
        let answer = match asked {
            Ok(answer) => answer,
            // The change may have cut the way, or the machine is at its boot: it goes back by itself then.
            Err(_) if heard.elapsed() < REACH + SILENCE => {
                sleep(POLL * 5).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        heard = Instant::now();
        let (phase, rest) = answer.said.split_once(' ').unwrap_or((&answer.said, ""));
        match phase {
            "done" => return Ok(Outcome::Done),
            "late" => return Ok(Outcome::Late),
            "refused" => {
                let (host, said) = (host.to_owned(), rest.to_owned());
                return Err(NixosError::Refused { host, said }.into());
            }
            "stuck" => return Err(failed("end a change", rest)),
            "broken" => {
                let (host, said) = (host.to_owned(), rest.to_owned());
                let hint = format!("`journalctl -u octad-switch` on {host} tells all of it");
                return Err(HostError::WentBack { host, said, hint });
            }
            "taken" => {
                let by = "another octad, which has changed it since".to_owned();
                return Err(NixosError::Taken { host: host.to_owned(), by }.into());
            }
            "gone" => return Err(failed("change what it runs", "it was cut off on the way")),
            // By a connection that what it runs now has let in: whoever looks by one is noted there.
            "changed" => {
                link.renew().await;
                let _ = link.look().await;
            }
            _ => {}
        }
        sleep(POLL).await;
    }
}

/// Has a machine begin with that, and waits for the end of a change before. Returns what tells it from others.
async fn begin(link: &Link, host: &str, goal: &Goal<'_>, ends: Instant) -> Result<String, HostError> {
    let token = token();
    loop {
        let script = goal.script(&link.clock().await?, link.token());
        let begin = format!("token={token}\nscript={}\n{BEGIN}", quoted(script.trim_end()));
        let begun = link.deed("told to change", Beside::Change, &begin, ANSWER).await?;
        match (begun.code, begun.said.as_str()) {
            (0, "busy") if Instant::now() > ends => {
                return Err(NixosError::Busy { host: host.to_owned() }.into());
            }
            // Of an Octad that is no more, or another hand's. The former ends once somebody reaches the machine.
            (0, "busy") => {
                link.renew().await;
                link.look().await?;
                sleep(POLL * 5).await;
            }
            (0, _) => return Ok(token),
            (_, said) => return Err(failed(host, "begin a change", said)),
        }
    }
}

fn failed(host: &str, tried: &str, said: &str) -> HostError {
    let (host, tried, said) = (host.to_owned(), tried.to_owned(), said.to_owned());
    NixosError::Failed { host, tried, said }.into()
}

/// Has a machine boot, and waits until it has.
pub(super) async fn boot(link: &Link, host: &str, goal: &Goal<'_>) -> Result<Outcome, HostError> {
    let before = link.look().await?.boot;
    let ends = Instant::now() + goal.patience() + BOOT;
    let token = begin(link, host, goal, ends).await?;
    while Instant::now() < ends {
        sleep(POLL * 5).await;
        link.renew().await;
        match link.look().await {
            Ok(look) if look.boot != before && !look.is_changing => return Ok(Outcome::Done),
            Ok(look) if look.boot == before => {
                let phase = link.run("asked how far it is", &format!("token={token}\n{PHASE}"), ANSWER).await;
                let said = phase.map(|answer| answer.said).unwrap_or_default();
                match said.split_once(' ').unwrap_or((&said, "")) {
                    ("late", _) => return Ok(Outcome::Late),
                    ("refused", said) => {
                        let (host, said) = (host.to_owned(), said.to_owned());
                        return Err(NixosError::Refused { host, said }.into());
                    }
                    ("gone", _) => return Err(failed(host, "boot", "it was cut off on the way")),
                    _ => {}
                }
            }
            // On its way.
            Ok(_) | Err(_) => {}
        }
    }
    Err(failed(host, "see it come back from its boot", "it takes too long"))
}

/// Begins the unit, once: a second time it is found at work. Other programs than those of the system that runs are not asked
/// for, so that one that was broken isn't needed to go back.
const BEGIN: &str = r#"run=/run/octad-deploy
mkdir -p "$run"
exec 9>"$run/lock"
flock 9
[ "$(cat "$run/token" 2>/dev/null)" != "$token" ] || exit 0
if systemctl is-active --quiet octad-switch.service; then
  echo busy
  exit 0
fi
rm -f "$run/phase" "$run/changed" "$run/reached"
printf %s "$script" >"$run/change.sh" || exit 1
systemctl reset-failed octad-switch.service 2>/dev/null
systemd-run --unit=octad-switch --description="a change of the system by octad" --collect --quiet --setenv=LC_ALL=C \
  --setenv=PATH="$(readlink -f /run/current-system)/sw/bin:/run/wrappers/bin" /bin/sh "$run/change.sh" 9>&- || exit 1
echo "$token" >"$run/token"
"#;

/// Tells how far it is.
const PHASE: &str = r#"run=/run/octad-deploy
began=$(cat "$run/token" 2>/dev/null)
[ "$began" = "$token" ] || { if [ -n "$began" ]; then echo taken; else echo gone; fi; exit; }
works=$(systemctl is-active octad-switch.service)
phase=$(cat "$run/phase" 2>/dev/null)
case $phase in
  done* | late* | refused* | stuck* | broken*) ;;
  *) case $works in active | activating | deactivating) ;; *) phase=gone ;; esac ;;
esac
printf '%s\n' "$phase"
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
        let system = "/nix/store/00000000000000000000000000000000-x".parse().unwrap();
        let system = Brought { documents: [].into(), system, sources: Some("s".into()) };
        let soon = Some(Until::within(Duration::from_secs(5)));
        let anew = vec![("zk-1", None), ("broker-1", soon)];
        let goal = Goal::Try { system: &system, anew, patience: SWITCH };
        let script = goal.script(&Clock::of("b-1\n1.00 2.00").unwrap(), 7);
        let begin = format!("token=t\nscript={}\n{BEGIN}", quoted(&script));
        for script in [&script, &begin, PHASE] {
            let read = std::process::Command::new("sh").args(["-n", "-c", script]).output().unwrap();
            assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        }
        let line = script.lines().find_map(|line| line.strip_prefix("anew='zk-1=- broker-1=")).unwrap();
        let deadline: u64 = line.trim_end_matches('\'').parse().unwrap();
        assert!((1000..=6000).contains(&deadline), "{deadline}");
    }
}
