//! What may be said of machines that NixOS runs. It ends in firewall rules, mounts and imports, so that whatever is no
//! network, no disk or no path of its own kind is a fault here, where there is still a line to point at. Pure.

use crate::model::Machine;
use crate::stack::{Fault, nearest};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// How machines boot: by one of the flake's images (`images/platforms`), or by modules of their owner.
pub const PLATFORMS: [&str; 5] = ["amazon", "google-compute", "own", "qcow2", "raw"];

/// What the kernel calls disks by, in the order in which it finds them.
const NUMBERED: [&str; 4] = ["hd", "nvme", "sd", "vd"];

/// Everything that is wrong with a machine of hosts in `subnet` (the first three bytes of their addresses).
pub(super) fn faults(machine: &Machine, subnet: Option<[u8; 3]>) -> Vec<Fault> {
    // The hosts' network is judged as such where it is said.
    let Machine { platform, modules, data_disk, peers: _, clients } = machine;
    let mut faults = Vec::new();
    faults.extend(subnet.and_then(unreachable));
    faults.extend(unknown_platform(platform));
    for (place, path) in modules.iter().enumerate() {
        let told = |message, hint: &str| Fault::new(format!("hosts.machine.modules.{place}"), message, hint);
        faults.extend(
            no_module(path).map(|message| told(message, "write it from there, like hosts/common.nix")),
        );
    }
    faults.extend(data_disk.as_deref().and_then(no_disk));
    let mut known: Vec<Network> = Vec::new();
    for (place, text) in clients.iter().enumerate() {
        let at = format!("hosts.machine.clients.{place}");
        match text.parse::<Network>() {
            Err(error) => faults.push(Fault::new(at, error.to_string(), error.hint())),
            // The kernel refuses a set of networks in which one is within another, and then has no rules at all.
            Ok(network) => match known.iter().find(|other| other.holds(&network) || network.holds(other)) {
                Some(other) => faults.push(Fault::new(
                    at,
                    format!("{network} and {other} have addresses in common"),
                    "write the larger one alone",
                )),
                None => known.push(network),
            },
        }
    }
    faults
}

fn unreachable([a, b, c]: [u8; 3]) -> Option<Fault> {
    let address = Ipv4Addr::new(a, b, c, 0);
    let reachable = !address.is_loopback() && (1..=223).contains(&a);
    let told = || {
        let message = format!("no other machine can reach hosts in {address}/24");
        Fault::new("hosts.subnet", message, "write the machines' own network, like 10.77.0.0/24")
    };
    (!reachable).then(told)
}

fn unknown_platform(platform: &str) -> Option<Fault> {
    if PLATFORMS.contains(&platform) {
        return None;
    }
    let hint = nearest(platform, PLATFORMS).map_or_else(
        || format!("known: {}", PLATFORMS.join(", ")),
        |nearest| format!("did you mean `{nearest}`?"),
    );
    Some(Fault::new("hosts.machine.platform", format!("there is no platform `{platform}`"), hint))
}

/// Why this can't be a file of the flake, which is all that an evaluation of it may read.
fn no_module(path: &str) -> Option<String> {
    let stays = path.split('/').all(|part| !["", ".", ".."].contains(&part));
    let plain = !path.chars().any(char::is_control);
    (!stays || !plain).then(|| format!("{path:?} is no path from the root of the flake"))
}

fn no_disk(path: &str) -> Option<Fault> {
    let told = |message: String, hint: &str| Some(Fault::new("hosts.machine.data-disk", message, hint));
    let named = "name it as in /dev/disk/by-id/, or leave it away for the one that was formatted for Octad";
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |part: &&str| {
        !["", ".", ".."].contains(part) && !part.chars().any(|c| c.is_whitespace() || c.is_control())
    };
    match &parts[..] {
        ["", "dev", name] if NUMBERED.iter().any(|numbered| name.starts_with(numbered)) => {
            told(format!("after the next boot, {path} may be another disk"), named)
        }
        ["", "dev", name @ ..] if !name.is_empty() && name.iter().all(plain) => None,
        _ => told(format!("{path:?} is no disk"), named),
    }
}

/// IPv4 addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    first: Ipv4Addr,
    /// In bits.
    prefix: u8,
}

/// Why a text is no [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NetworkError {
    #[error("`{0}` is no network")]
    Form(String),
    #[error("hosts have IPv4 addresses only, and `{0}` can't reach them")]
    Six(String),
    #[error("`{0}` begins in the midst of {1}")]
    Midst(String, Network),
}

impl NetworkError {
    fn hint(&self) -> String {
        match self {
            Self::Form(_) => "write it like 10.20.0.0/16, or 10.20.0.7/32 for one address".into(),
            Self::Six(_) => "write the clients' IPv4 network, like 10.20.0.0/16".into(),
            Self::Midst(_, whole) => format!("write {whole}"),
        }
    }
}

impl Network {
    const BITS: u8 = 32;

    /// The network that has this address.
    fn of(address: Ipv4Addr, prefix: u8) -> Self {
        // All of them, for which a shift is too short.
        let mask = u32::MAX.checked_shl(u32::from(Self::BITS - prefix)).unwrap_or(0);
        Self { first: Ipv4Addr::from_bits(address.to_bits() & mask), prefix }
    }

    /// Whether all addresses of `other` are of this one.
    fn holds(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && Self::of(other.first, self.prefix) == *self
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError::Form(text.to_owned());
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        if address.parse::<Ipv6Addr>().is_ok() {
            return Err(NetworkError::Six(text.to_owned()));
        }
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        // Neither a sign nor a leading zero.
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit())
            && !(prefix.len() > 1 && prefix.starts_with('0'));
        let prefix =
            prefix.parse().ok().filter(|prefix| digits && *prefix <= Self::BITS).ok_or_else(wrong)?;
        let whole = Self::of(address, prefix);
        if whole.first == address { Ok(whole) } else { Err(NetworkError::Midst(text.to_owned(), whole)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<String, NetworkError> {
        text.parse::<Network>().map(|network| network.to_string())
    }

    #[test]
    fn a_network_is_written_as_the_kernel_writes_it() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "10.20.0.0/16", "10.20.0.7/32"] {
            assert_eq!(network(text).as_deref(), Ok(text));
        }
        for text in [
            "everybody; drop",
            "",
            "/8",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0/8",
        ] {
            assert_eq!(network(text), Err(NetworkError::Form(text.to_owned())), "{text}");
        }
        for text in ["fd00::/8", "::1"] {
            assert_eq!(network(text), Err(NetworkError::Six(text.to_owned())), "{text}");
        }
        assert_eq!(network("10.20.3.4/16").unwrap_err().hint(), "write 10.20.0.0/16");
        assert_eq!(network("1.2.3.4/0").unwrap_err().hint(), "write 0.0.0.0/0");
    }

    #[test]
    fn networks_hold_those_that_begin_alike() {
        let holds = |one: &str, other: &str| one.parse::<Network>().unwrap().holds(&other.parse().unwrap());
        assert!(
            holds("0.0.0.0/0", "10.0.0.0/8")
                && holds("10.0.0.0/8", "10.255.0.0/16")
                && holds("1.2.3.4/32", "1.2.3.4/32")
        );
        assert!(!holds("10.255.0.0/16", "10.0.0.0/8") && !holds("10.0.0.0/16", "10.1.0.0/16"));
    }

    #[test]
    fn a_disk_has_a_name_that_stays() {
        for path in
            ["/dev/disk/by-label/octad-data", "/dev/disk/by-id/virtio-data", "/dev/mapper/data", "/dev/xvdf"]
        {
            assert_eq!(no_disk(path), None, "{path}");
        }
        for path in [
            "/dev/sdb",
            "/dev/vdb",
            "/dev/nvme1n1",
            "/dev/hda1",
            "",
            "sdb",
            "/dev",
            "/dev/",
            "/mnt/data",
            "/dev/../etc",
            "/dev/disk/by-id/a b",
        ] {
            assert!(no_disk(path).is_some(), "{path}");
        }
    }

    #[test]
    fn a_module_is_within_the_flake() {
        for path in ["common.nix", "hosts/common.nix", "hosts/.hidden", "hosts"] {
            assert_eq!(no_module(path), None, "{path}");
        }
        for path in ["", "/etc/nixos/a.nix", "../a.nix", "hosts/../../a.nix", "./a.nix", "hosts/", "a\nb"] {
            assert!(no_module(path).is_some(), "{path}");
        }
    }

    #[test]
    fn there_is_an_image_for_each_platform_but_own() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/images/platforms");
        let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let names = files.filter_map(|name| Some(name.to_str()?.strip_suffix(".nix")?.to_owned()));
        let mut known: Vec<String> = names.filter(|name| name != "default").chain(["own".into()]).collect();
        known.sort();
        assert_eq!(known, PLATFORMS);
    }

    #[test]
    fn machines_are_where_others_reach_them() {
        for subnet in [[127, 80, 1], [0, 0, 0], [224, 0, 0], [255, 255, 255]] {
            assert!(unreachable(subnet).is_some(), "{subnet:?}");
        }
        assert_eq!(unreachable([10, 77, 0]), None);
    }
}
