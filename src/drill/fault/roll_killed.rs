//! Octad itself dies in the middle of a roll, and another Octad finishes it.

use super::{Fault, Lasts, Objective, Strike, roll::restarted};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use async_trait::async_trait;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// What a roll says once a member's turn has come.
const TURN: &str = "changing ";

/// How long after that it is killed: this many milliseconds at most, so that the stop, the start and what follows are
/// each hit by some seed.
const SPAN: u64 = 6_000;

/// The fault.
pub(super) struct RollKilled;

#[async_trait]
impl Fault for RollKilled {
    fn name(&self) -> &'static str {
        "roll-killed"
    }

    fn about(&self) -> &'static str {
        "octad is killed (SIGKILL) in the middle of a roll of all brokers, and a second roll finishes it"
    }

    fn objective(&self, _: &Scene) -> Objective {
        Objective::within(Duration::from_millis(400)).keeping_min_isr()
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        // Large and odd: seeds that follow each other hit moments far apart.
        let delay = Duration::from_millis(scene.seed.wrapping_mul(2_654_435_761) % SPAN);
        strike("roll begins", &restarted(scene.brokers()));
        let mut first = rolling(scene)?;
        let interrupted = || scene.options.interrupt.wait();
        let turn = tokio::select! {
            turn = turn(&mut first) => turn,
            () = interrupted() => return Err(DrillError::Interrupted),
        };
        let Some(turn) = turn else {
            return Err(failed("the roll that was to be killed ended before its first turn"));
        };
        tokio::time::sleep(delay).await;
        strike("kill octad", &[]);
        // One that is over by now was not killed in the middle of anything.
        if first.try_wait().is_ok_and(|ended| ended.is_some()) {
            return Err(failed("the roll that was to be killed was over too soon"));
        }
        first.kill().await.map_err(|source| executable("kill", source))?;
        let mut second = rolling(scene)?;
        let ended = tokio::select! {
            ended = finished(&mut second) => ended?,
            () = interrupted() => return Err(DrillError::Interrupted),
        };
        strike("second roll is over", &[]);
        if !ended {
            return Err(failed("the second roll failed"));
        }
        Ok(format!("octad, {} ms after \"{turn}\"", delay.as_millis()))
    }

    fn lasts(&self) -> Lasts {
        Lasts::Itself
    }
}

/// A child that rolls all brokers under this process's lock, and tells of it on its standard output. It dies with its
/// handle.
fn rolling(scene: &Scene) -> Result<Child, DrillError> {
    let state_dir = scene.site.parent().unwrap_or(Path::new("."));
    let program = std::env::current_exe().map_err(|source| executable("find", source))?;
    let lock = scene.lock.lend().map_err(|source| executable("lend the lock to", source))?;
    Command::new(program)
        .arg("--state-dir")
        .arg(state_dir)
        .args(["--stack", scene.stack.name().as_ref(), "--borrow-lock", "--output", "ndjson"])
        .args(["roll", "@broker", "--yes"])
        .stdin(lock)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| executable("start", source))
}

/// Waits until the roll has come to a member, and gives what it said; `None` where it never does.
async fn turn(roll: &mut Child) -> Option<String> {
    let mut lines = BufReader::new(roll.stdout.as_mut()?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let message = event["message"].as_str().unwrap_or_default();
        if message.contains(TURN) {
            return Some(message.to_owned());
        }
    }
    None
}

/// Waits for the end of a roll; whether it succeeded.
async fn finished(roll: &mut Child) -> Result<bool, DrillError> {
    if let Some(said) = roll.stdout.take() {
        let mut lines = BufReader::new(said).lines();
        while let Ok(Some(_)) = lines.next_line().await {}
    }
    let ended = roll.wait().await.map_err(|source| executable("wait for", source))?;
    Ok(ended.success())
}

fn executable(action: &'static str, source: std::io::Error) -> DrillError {
    DrillError::Io { action, path: "octad".into(), source }
}

fn failed(reason: &str) -> DrillError {
    DrillError::NotFinished { fault: RollKilled.name(), reason: reason.to_owned() }
}
