//! Hosts of one backend, each with an address of its own. Pure.

use crate::host::LocalBackend;
use crate::resource::{HostFacts, HostInputs, Machine, Output};
use crate::stack::{Fault, Name, Stack};
use std::net::Ipv4Addr;

/// Where hosts are made.
#[derive(Debug, Clone)]
pub struct Hosts {
    backend: String,
    subnet: Option<[u8; 3]>,
    machine: Option<Machine>,
}

impl Hosts {
    /// Hosts that are processes on this machine.
    pub fn local(stack: &mut Stack) -> Self {
        Self::new(stack, LocalBackend::NAME, None)
    }

    /// Hosts of `backend`. `subnet` names the first three bytes of their addresses (`127.80.1.0/24`); without it,
    /// local hosts get one derived from the stack's name, so that stacks of different names don't meet.
    pub fn new(stack: &mut Stack, backend: &str, subnet: Option<&str>) -> Self {
        let subnet = match subnet {
            Some(text) => match parse(text) {
                Ok(bytes) => Some(bytes),
                Err(message) => {
                    stack.fault(Fault::new("hosts.subnet", message, "write it like 127.80.1.0/24"));
                    None
                }
            },
            // The other backends assign addresses themselves.
            None if backend == LocalBackend::NAME => Some(derived(stack.name())),
            None => None,
        };
        Self { backend: backend.to_owned(), subnet, machine: None }
    }

    /// The same hosts, as machines that NixOS runs.
    #[must_use]
    pub fn on_machines(self, machine: Machine) -> Self {
        Self { machine: Some(machine), ..self }
    }

    /// What a node's facts tell of its host.
    pub fn facts(&self, name: &Name, address: Output<String>) -> HostFacts {
        let name = name.to_string();
        HostFacts { zone: name.clone(), name, address, machine: self.machine.clone() }
    }

    /// Declares a host and returns its address, which ends with `number` where the backend doesn't assign one.
    pub fn host(&self, stack: &mut Stack, name: &Name, number: u16, zone: Option<&str>) -> Output<String> {
        let address = match (self.subnet, u8::try_from(number)) {
            (Some([a, b, c]), Ok(last)) if last < u8::MAX => Some(Ipv4Addr::new(a, b, c, last)),
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
        let inputs = HostInputs { backend: self.backend.clone(), address, zone: zone.map(str::to_owned) };
        stack.host(name, &inputs)
    }
}

fn parse(text: &str) -> Result<[u8; 3], String> {
    let wrong = || format!("`{text}` is not a subnet of 256 addresses");
    let address: Ipv4Addr = text.strip_suffix("/24").ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
    match address.octets() {
        [a, b, c, 0] => Ok([a, b, c]),
        _ => Err(wrong()),
    }
}

/// FNV-1a over the name, folded into 127.64.0.0 to 127.127.255.0: the same name has the same addresses everywhere,
/// away from 127.0.0.0/16, where distributions put services of their own.
fn derived(name: &Name) -> [u8; 3] {
    let hash = name
        .as_ref()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [_, _, b, c] = (hash ^ (hash >> 16)).to_be_bytes();
    [127, 64 + b % 64, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_three_bytes_and_a_mask() {
        assert_eq!(parse("127.80.1.0/24"), Ok([127, 80, 1]));
        for text in ["127.80.1.0", "127.80.1.5/24", "127.80.0.0/16", "x/24"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_shipped_stacks_have_different_subnets() {
        let of = |name: &str| derived(&name.parse().unwrap());
        assert_ne!(of("ha"), of("minimal"));
    }
}
