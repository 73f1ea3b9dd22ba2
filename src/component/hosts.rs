//! Hosts of one backend, each with an address of its own. Pure.

use super::machine;
use crate::host::{Isolation, LocalBackend, LocalOptions};
use crate::model::{HostFacts, HostInputs, Machine, Options, Output};
use crate::stack::{Fault, Name, Stack, nearest};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The smallest disk, in MiB: below it a file system's own books leave a server no room to begin with.
const SMALLEST_DISK: u32 = 64;

/// Where hosts are made.
#[derive(Debug, Clone)]
pub struct Hosts {
    backend: String,
    subnet: Option<[u8; 3]>,
    local: LocalOptions,
    options: Options,
    machine: Option<Machine>,
    /// The hosts of each declared zone, by their names.
    zones: BTreeMap<String, Vec<String>>,
}

impl Hosts {
    /// Hosts that are processes on this machine.
    pub fn local(stack: &mut Stack) -> Self {
        Self::new(stack, LocalBackend::NAME, None)
    }

    /// Hosts of `backend`. `subnet` names the first three bytes of their addresses (`127.80.1.0/24`); without it,
    /// local hosts get one derived from the stack's name, so that stacks of different names don't meet.
    pub fn new(stack: &mut Stack, backend: &str, subnet: Option<&str>) -> Self {
        Self::isolated(stack, backend, subnet, Isolation::None)
    }

    /// As [`Hosts::new`], with something that keeps them apart. In namespaces, hosts have private addresses.
    pub fn isolated(stack: &mut Stack, backend: &str, subnet: Option<&str>, isolation: Isolation) -> Self {
        let example = match isolation {
            Isolation::None => "127.80.1.0/24",
            Isolation::Netns => "10.80.1.0/24",
        };
        let local = backend == LocalBackend::NAME;
        if !local && !isolation.is_none() {
            stack.fault(Fault::new(
                "hosts.isolation",
                format!("hosts of the backend {backend} are apart already"),
                "leave it away",
            ));
        }
        let subnet = match subnet {
            Some(text) => match parse(text, isolation) {
                Ok(bytes) => Some(bytes),
                Err(message) => {
                    stack.fault(Fault::new("hosts.subnet", message, format!("write it like {example}")));
                    None
                }
            },
            // The other backends assign addresses themselves.
            None if local => Some(derived(stack.name(), isolation)),
            None => None,
        };
        Self {
            backend: backend.to_owned(),
            subnet,
            local: LocalOptions { isolation, disk_mib: None },
            options: Options::new(),
            machine: None,
            zones: BTreeMap::new(),
        }
    }

    /// The same, with a disk of so many MiB for the data of each node.
    #[must_use]
    pub fn with_disk(self, stack: &mut Stack, disk_mib: Option<u32>) -> Self {
        let told = |message: String, hint: &str| Fault::new("hosts.disk-mib", message, hint);
        match disk_mib {
            Some(_) if self.backend != LocalBackend::NAME => stack.fault(told(
                format!("hosts of the backend {} have the disks that they have", self.backend),
                "leave it away",
            )),
            Some(mib) if mib < SMALLEST_DISK => {
                stack.fault(told(format!("{mib} MiB are too little for a disk"), "write 64 or more"));
            }
            _ => {}
        }
        Self { local: LocalOptions { disk_mib, ..self.local }, ..self }
    }

    /// The same, with what their backend wants to know besides.
    #[must_use]
    pub fn with_options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// The name of their backend.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// The size in MiB of the disk that each node has, where one is declared.
    pub fn disk_mib(&self) -> Option<u32> {
        self.local.disk_mib
    }

    /// The same hosts, in failure domains: the names of the hosts of each. One that is in none is its own.
    /// [`Hosts::check_zones`] finds names that no host has.
    #[must_use]
    pub fn in_zones(self, stack: &mut Stack, zones: BTreeMap<String, Vec<String>>) -> Self {
        let mut told: BTreeMap<&String, &String> = BTreeMap::new();
        for (zone, hosts) in &zones {
            let at = |place: usize| format!("hosts.zones.{zone}.{place}");
            if let Err(error) = zone.parse::<Name>() {
                stack.fault(Fault::new(format!("hosts.zones.{zone}"), error.to_string(), ""));
            }
            for (place, host) in hosts.iter().enumerate() {
                if let Some(other) = told.insert(host, zone) {
                    stack.fault(Fault::new(
                        at(place),
                        format!("{host} is in {other} already"),
                        "say it once",
                    ));
                }
            }
        }
        Self { zones, ..self }
    }

    /// Tells of names in zones that no declared host has. To be called once all hosts are declared.
    pub fn check_zones(&self, stack: &mut Stack) {
        let known = stack.host_names();
        for (zone, hosts) in &self.zones {
            for (place, host) in hosts.iter().enumerate().filter(|(_, host)| !known.contains(*host)) {
                let hint = nearest(host, known.iter().map(String::as_str))
                    .map_or_else(String::new, |nearest| format!("did you mean `{nearest}`?"));
                let path = format!("hosts.zones.{zone}.{place}");
                stack.fault(Fault::new(path, format!("there is no host `{host}`"), hint));
            }
        }
    }

    /// The zone of a host: the declared one, else the host itself.
    pub fn zone(&self, host: &Name) -> String {
        self.declared_zone(host).unwrap_or_else(|| host.to_string())
    }

    fn declared_zone(&self, host: &Name) -> Option<String> {
        let holds = |hosts: &Vec<String>| hosts.iter().any(|one| one == host.as_ref());
        self.zones.iter().find(|(_, hosts)| holds(hosts)).map(|(zone, _)| zone.clone())
    }

    /// The same hosts, as machines that NixOS runs.
    #[must_use]
    pub fn on_machines(self, stack: &mut Stack, machine: Machine) -> Self {
        for fault in machine::faults(&machine, self.subnet) {
            stack.fault(fault);
        }
        Self { machine: Some(machine), ..self }
    }

    /// Whether all of them share this machine's processors, with whatever else runs here. Machines have their own.
    pub fn share_processors(&self) -> bool {
        self.backend == LocalBackend::NAME && self.machine.is_none()
    }

    /// What a node's facts tell of its host, without its zone, of which most roles don't know.
    pub fn facts(&self, name: &Name, address: Output<String>) -> HostFacts {
        HostFacts { name: name.to_string(), address, zone: None, machine: self.machine.clone() }
    }

    /// Declares a host and returns its address, which ends with `number` where the backend doesn't assign one.
    pub fn host(&self, stack: &mut Stack, name: &Name, number: u16) -> Output<String> {
        // The last address is the subnet's broadcast, the one before it the machine's own on the stack's switch.
        let address = match (self.subnet, u8::try_from(number)) {
            (Some([a, b, c]), Ok(last)) if last < u8::MAX - 1 => Some(Ipv4Addr::new(a, b, c, last)),
            (Some(_), _) => {
                stack.fault(Fault::new(
                    "hosts",
                    format!("{name} does not fit into one subnet"),
                    "declare fewer hosts",
                ));
                None
            }
            (None, _) => None,
        };
        let inputs = HostInputs {
            backend: self.backend.clone(),
            address,
            zone: self.declared_zone(name),
            options: self.options.clone().into_iter().chain(self.local.written()).collect(),
        };
        stack.host(name, &inputs)
    }
}

fn parse(text: &str, isolation: Isolation) -> Result<[u8; 3], String> {
    let wrong = || format!("`{text}` is not a subnet of 256 addresses");
    let address: Ipv4Addr = text.strip_suffix("/24").ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
    let [a, b, c, 0] = address.octets() else { return Err(wrong()) };
    // What is on the loopback interface of one namespace is in no other; what is public belongs to somebody.
    if isolation == Isolation::Netns && !address.is_private() {
        return Err(format!("`{text}` is not a private network, and hosts in namespaces need one"));
    }
    Ok([a, b, c])
}

/// FNV-1a over the name, folded into 127.64.0.0 to 127.127.255.0, or 10.64.0.0 to 10.127.255.0 in namespaces: the same
/// name has the same addresses everywhere, away from 127.0.0.0/16, where distributions put services of their own.
fn derived(name: &Name, isolation: Isolation) -> [u8; 3] {
    let hash = name
        .as_ref()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [_, _, b, c] = (hash ^ (hash >> 16)).to_be_bytes();
    let network = match isolation {
        Isolation::None => 127,
        Isolation::Netns => 10,
    };
    [network, 64 + b % 64, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_three_bytes_and_a_mask() {
        assert_eq!(parse("127.80.1.0/24", Isolation::None), Ok([127, 80, 1]));
        for text in ["127.80.1.0", "127.80.1.5/24", "127.80.0.0/16", "x/24"] {
            assert!(parse(text, Isolation::None).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_in_namespaces_have_private_addresses() {
        assert_eq!(parse("10.80.1.0/24", Isolation::Netns), Ok([10, 80, 1]));
        for text in ["127.80.1.0/24", "8.8.8.0/24"] {
            assert!(parse(text, Isolation::Netns).is_err(), "{text}");
        }
        let [a, b, c] = derived(&"ha".parse().unwrap(), Isolation::Netns);
        assert!(Ipv4Addr::new(a, b, c, 1).is_private());
    }

    #[test]
    fn the_shipped_stacks_have_different_subnets() {
        let of = |name: &str| derived(&name.parse().unwrap(), Isolation::None);
        assert_ne!(of("ha"), of("minimal"));
    }
}
