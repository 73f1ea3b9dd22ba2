//! What a stack leaves on the machine: processes and ports, read from `/proc`.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use rustix::process::Pid;

/// The processes whose command line names `directory` or something in it, or that work there.
pub(crate) fn processes_of(directory: &Path) -> Vec<i32> {
    let wanted = directory.as_os_str().as_encoded_bytes();
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let of_directory = |process: &Path| {
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        let named = command.windows(wanted.len()).any(|part| part == wanted);
        named || fs::read_link(process.join("cwd")).is_ok_and(|works_in| works_in.starts_with(directory))
    };
    let mut found: Vec<i32> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(pid, process)| *pid != std::process::id() as i32 && of_directory(process))
        .map(|(pid, _)| pid)
        .collect();
    found.sort_unstable();
    found
}

/// The supervisors of a stack's hosts, as they wrote themselves into their locks, where those still are they.
pub(crate) fn supervisors_of(site: &Path) -> Vec<Pid> {
    let of_stack = processes_of(site);
    let hosts = fs::read_dir(site.join("hosts")).into_iter().flatten().filter_map(Result::ok);
    hosts
        .filter_map(|host| fs::read_to_string(host.path().join("lock")).ok()?.trim().parse().ok())
        .filter(|pid| of_stack.contains(pid))
        .filter_map(Pid::from_raw)
        .collect()
}

/// `address:port` of everything that listens at addresses that begin with `subnet` (`127.130.7.`).
pub(crate) fn listeners_at(subnet: &str) -> Vec<String> {
    // Java listens through IPv6 sockets, on ::ffff:127.90.1.11.
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let mut found: Vec<String> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1).filter_map(listener))
        .filter(|listener| listener.starts_with(subnet))
        .collect();
    found.sort();
    found
}

/// One line of such a table, where it is of a socket that listens.
fn listener(line: &str) -> Option<String> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_whitespace();
    let (local, state) = (fields.nth(1)?, fields.nth(1)?);
    let (address, port) = local.split_once(':')?;
    // The last four bytes are the IPv4 address, in the machine's order.
    let address = u32::from_str_radix(address.get(address.len() - 8..)?, 16).ok()?;
    let address = Ipv4Addr::from(address.to_ne_bytes());
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == LISTEN).then(|| format!("{address}:{port}"))
}
