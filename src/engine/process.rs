//! Which process is which on this machine, beyond its id. Reads `/proc`.

use std::fs;

/// The machine's name.
pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// When a process began: the id of the machine's boot and clock ticks since then. `None` where there is no such process,
/// or it has ended and waits to be reaped.
pub(super) fn started(pid: u32) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything, spaces and parentheses too. See proc_pid_stat(5).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let (state, ticks) = (fields.next()?, fields.nth(18)?);
    (!matches!(state, "Z" | "X")).then(|| format!("{}:{ticks}", boot.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn two_processes_that_began_at_different_times_are_told_apart() {
        let own = started(std::process::id()).unwrap();
        assert_eq!(started(std::process::id()).as_ref(), Some(&own));
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert_ne!(started(child.id()).unwrap(), own);
        child.kill().unwrap();
        while started(child.id()).is_some() {
            std::thread::yield_now();
        }
        assert!(fs::exists(format!("/proc/{}", child.id())).unwrap(), "it ended and is not reaped yet");
        child.wait().unwrap();
        assert_eq!(started(child.id()), None);
    }
}
