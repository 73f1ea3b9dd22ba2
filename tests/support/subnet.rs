//! Subnets that tests have for themselves.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::UdpSocket;
use std::process::Command;
use std::sync::Arc;

/// 256 addresses that no other test of this machine has for as long as a clone of it lives, whoever else runs the same tests
/// and whatever ended ones left behind. It shows as what its addresses begin with, such as `127.130.7.`.
#[derive(Clone, Debug)]
pub(crate) struct Subnet {
    beginning: String,
    /// What the kernel gives to one process only, and takes back whatever becomes of that.
    _reserved: Arc<UdpSocket>,
}

impl Subnet {
    /// Of the machine itself.
    #[allow(dead_code, reason = "not every binary with tests uses all of them")]
    pub(crate) fn local() -> Self {
        Self::of(127, 128..=250)
    }

    /// Of a switch.
    #[allow(dead_code, reason = "not every binary with tests uses all of them")]
    pub(crate) fn apart() -> Self {
        Self::of(10, 91..=94)
    }

    fn of(first: u8, second: std::ops::RangeInclusive<u8>) -> Self {
        let between = u64::from(*second.end() - *second.start()) + 1;
        let drawn = std::iter::repeat_with(|| RandomState::new().hash_one(()));
        let free = |drawn: u64| {
            let (b, c) = (second.start() + (drawn % between) as u8, (drawn >> 32) as u8);
            let reserved = UdpSocket::bind((format!("127.{b}.{c}.1"), 20_001)).ok()?;
            let beginning = format!("{first}.{b}.{c}.");
            // All of 127.0.0.0/8 is the machine's.
            let taken = first != 127 && is_taken(&format!("{beginning}0/24"));
            (!taken).then(|| Self { beginning, _reserved: Arc::new(reserved) })
        };
        drawn.take(1000).find_map(free).expect("a free subnet")
    }
}

/// Whether an interface has one of these addresses for its own: what a process that was killed left behind.
fn is_taken(subnet: &str) -> bool {
    let listed = Command::new("ip").args(["-o", "address", "show", "to", subnet]).output();
    // Without that program nobody has made a switch.
    listed.is_ok_and(|listed| !listed.stdout.is_empty())
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.beginning)
    }
}

#[test]
fn a_subnet_is_nobody_elses() {
    let one = Subnet::local();
    assert!(UdpSocket::bind(format!("{one}1:20001")).is_err(), "it is reserved");
    assert_ne!(one.to_string(), Subnet::local().to_string());
    let reserved = one.to_string();
    drop(one);
    UdpSocket::bind(format!("{reserved}1:20001")).unwrap();
}
