//! Hosts of one backend, each with an address of its own. Pure.

use crate::resource::{HostInputs, Output};
use crate::stack::{Fault, Name, Stack};
use std::net::Ipv4Addr;

/// Makes hosts as nodes ask for them.
#[derive(Debug, Clone)]
pub struct Hosts {
    backend: String,
    subnet: Option<[u8; 3]>,
    next: u8,
}

impl Hosts {
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
            None if backend == "local" => Some(derived(stack.name())),
            None => None,
        };
        Self { backend: backend.to_owned(), subnet, next: 11 }
    }

    /// Declares the next host and returns its address.
    pub fn host(&mut self, stack: &mut Stack, name: &Name, zone: Option<&str>) -> Output<String> {
        let address = self.subnet.map(|[a, b, c]| Ipv4Addr::new(a, b, c, self.next));
        if self.subnet.is_some() && self.next == u8::MAX {
            stack.fault(Fault::new("hosts", "more than 244 hosts do not fit into one subnet", ""));
        }
        self.next = self.next.saturating_add(1);
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
    fn only_a_subnet_can_be_full() {
        let of = |backend: &str| {
            let mut stack = Stack::new("s".parse().unwrap());
            let mut hosts = Hosts::new(&mut stack, backend, None);
            for number in 0..300 {
                hosts.host(&mut stack, &format!("h-{number}").parse().unwrap(), None);
            }
            stack.validate(&crate::engine::Registry::standard())
        };
        assert!(of("local").unwrap_err().to_string().contains("244 hosts"));
        assert!(of("elsewhere").is_ok());
    }

    #[test]
    fn the_shipped_stacks_have_different_subnets() {
        let of = |name: &str| derived(&name.parse().unwrap());
        assert_ne!(of("ha"), of("minimal"));
    }
}
