//! Runs what a unit has for cleaning up behind a process, within its limit.

use std::{process::Command, time::Duration};

use super::{
    archive::{end, tail},
    exit::Exit,
    process::{Priority, Process},
    spec::{AfterEnd, UnitSpec},
};

impl AfterEnd {
    /// Runs it; what it said and how it ended, for the log.
    pub(super) async fn run(&self, unit: &UnitSpec) -> String {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(&unit.env);
        if let Some(dir) = &unit.working_dir {
            command.current_dir(dir);
        }
        let (process, output) = match Process::spawn(command, Priority::Inherited) {
            Ok(started) => started,
            Err(error) => return format!("cannot run {}: {error}", self.program.display()),
        };
        let said = tokio::spawn(tail(output));
        let limit = Duration::from_millis(self.limit_ms);
        if tokio::time::timeout(limit, process.ended()).await.is_err() {
            end(process).await;
            said.abort();
            return format!("killed after {} ms", self.limit_ms);
        }
        let exit = process.reap();
        // The pipe ends with the process; only a stray child could hold it open.
        let said = tokio::time::timeout(limit, said).await.map(Result::unwrap_or_default).unwrap_or_default();
        if exit == (Exit::Code { code: 0 }) { said } else { format!("{said} ({exit})") }
    }
}
