//! Who else is in this process's control group: how a command that systemd runs behind a service knows whether the
//! service's processes are certainly gone. A JVM stuck in the kernel survives SIGKILL, and is still listed.

use std::{fs, io};

/// The processes of this process's control group apart from itself (cgroup v2, the only form that current systemd has).
pub fn other_processes() -> io::Result<Vec<u32>> {
    let membership = fs::read_to_string("/proc/self/cgroup")?;
    let group = unified(&membership)
        .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "this system has no cgroup v2"))?;
    let members = fs::read_to_string(format!("/sys/fs/cgroup{group}/cgroup.procs"))?;
    Ok(others(&members, std::process::id()))
}

fn unified(membership: &str) -> Option<&str> {
    membership.lines().find_map(|line| line.strip_prefix("0::"))
}

fn others(members: &str, own: u32) -> Vec<u32> {
    members.lines().filter_map(|line| line.trim().parse().ok()).filter(|pid| *pid != own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_left_is_told() {
        assert_eq!(others("17\n4242\n", 17), [4242]);
        assert_eq!(others("17\n", 17), [0_u32; 0]);
        assert_eq!(
            unified("1:name=x:/a\n0::/system.slice/kafka.service\n"),
            Some("/system.slice/kafka.service")
        );
        assert_eq!(unified("4:memory:/a\n"), None);
    }
}
