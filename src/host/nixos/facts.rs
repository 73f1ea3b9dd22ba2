//! What a system tells of itself, and what two of them differ in. Pure; `nix/modules/system.nix` writes it.

use crate::nix::{FACTS, StorePath};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// What a system tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct SystemFacts {
    /// What only a boot brings: the kernel and what is loaded with it.
    boots: Value,
    /// The unit of each node.
    services: BTreeMap<String, String>,
    /// What all that runs there shares: the firewall and the like, settings of the kernel, names of hosts.
    network: Value,
    sysctl: Value,
    hosts: Value,
    root: Value,
    loader: Value,
    addresses: BTreeSet<Ipv4Addr>,
    ssh: Ssh,
}

/// Who may log in, and where.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Ssh {
    ports: BTreeSet<u16>,
    /// The files that have keys.
    files: BTreeSet<String>,
    /// The keys of each user.
    keys: BTreeMap<String, BTreeSet<String>>,
}

impl SystemFacts {
    pub(super) fn of(told: &Value) -> Option<Self> {
        Self::deserialize(told).ok()
    }

    /// Those of a system that this machine has.
    pub(super) fn of_built(system: &StorePath) -> Option<Self> {
        let text = std::fs::read(system.to_path().join("etc").join(FACTS)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Those of these nodes that begin anew with the system `after`: whose service differs, and all of them where what they share
    /// does. A rule that cuts a broker off is judged, and taken back, only as the change of a turn.
    pub(super) fn renewed<'a>(
        &self,
        after: &Self,
        nodes: impl Iterator<Item = &'a String>,
    ) -> BTreeSet<String> {
        let shared = |of: &Self| (of.network.clone(), of.sysctl.clone(), of.hosts.clone());
        let all = shared(self) != shared(after);
        nodes.filter(|node| all || self.services.get(*node) != after.services.get(*node)).cloned().collect()
    }

    /// Whether what booted this is less than all of the system `after`.
    pub(super) fn lacks_boot(&self, after: &Self) -> bool {
        self.boots != after.boots
    }

    /// What a machine at this address, to which `user` logs in, may be lost by with the system `after`.
    pub(super) fn risks(&self, after: &Self, address: &str, user: &str) -> Vec<String> {
        let mut risks = Vec::new();
        let mut differs = |what: &str, before: &Value, after: &Value| {
            if before != after {
                risks.push(format!("its {what} would be {after} in place of {before}"));
            }
        };
        differs("root device", &self.root, &after.root);
        differs("boot loader", &self.loader, &after.loader);
        let address = address.parse::<Ipv4Addr>().ok();
        if let Some(address) =
            address.filter(|one| self.addresses.contains(one) && !after.addresses.contains(one))
        {
            risks.push(format!("it would no longer have its address {address}"));
        }
        for port in self.ssh.ports.difference(&after.ssh.ports) {
            risks.push(format!("SSH would no longer be served on port {port}"));
        }
        let gone = |before: &BTreeSet<String>, after: Option<&BTreeSet<String>>| {
            before
                .iter()
                .filter(|one| !after.is_some_and(|after| after.contains(*one)))
                .cloned()
                .collect::<Vec<_>>()
        };
        let keys =
            self.ssh.keys.get(user).map(|keys| gone(keys, after.ssh.keys.get(user))).unwrap_or_default();
        for key in keys {
            risks.push(format!("the key {} could no longer log in as {user}", shortened(&key)));
        }
        for file in gone(&self.ssh.files, Some(&after.ssh.files)) {
            risks.push(format!("the keys in {file} could no longer log in"));
        }
        risks
    }
}

/// What people know a key by: its comment, or the end of it.
fn shortened(key: &str) -> String {
    let key = key.trim();
    let name = key.split_whitespace().nth(2).map(str::to_owned);
    name.unwrap_or_else(|| {
        format!("…{}", key.chars().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect::<String>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(changed: impl FnOnce(&mut Value)) -> SystemFacts {
        let mut told = json!({
            "boots": { "kernel": "/nix/store/a-linux" },
            "services": { "broker-1": "/nix/store/a-unit", "zk-1": "/nix/store/b-unit" },
            "network": { "nftables.service": "/nix/store/d-unit" },
            "sysctl": { "vm.swappiness": 1 },
            "hosts": {},
            "root": { "device": "/dev/vda1", "fsType": "ext4" },
            "loader": { "grub": ["/dev/vda"], "systemd-boot": false },
            "addresses": ["10.0.0.1", "192.168.0.1"],
            "ssh": {
                "ports": [22],
                "files": ["/etc/ssh/authorized_keys.d/%u"],
                "keys": { "root": ["ssh-ed25519 AAAA ann@laptop", "ssh-ed25519 BBBBCCCCDDDDEEEE"], "guest": ["x"] },
            },
        });
        changed(&mut told);
        SystemFacts::of(&told).unwrap()
    }

    fn risks(changed: impl FnOnce(&mut Value)) -> Vec<String> {
        facts(|_| {}).risks(&facts(changed), "10.0.0.1", "root")
    }

    #[test]
    fn what_a_machine_may_be_lost_by_is_told_and_nothing_else() {
        assert!(risks(|_| {}).is_empty());
        assert!(risks(|told| told["boots"]["kernel"] = json!("/nix/store/b-linux")).is_empty());
        assert!(risks(|told| told["addresses"] = json!(["10.0.0.1"])).is_empty());
        assert!(risks(|told| told["ssh"]["ports"] = json!([22, 2222])).is_empty());
        assert!(
            risks(|told| told["ssh"]["keys"]["root"].as_array_mut().unwrap().push(json!("new"))).is_empty()
        );
        assert!(
            risks(|told| told["ssh"]["keys"] = json!({ "root": told["ssh"]["keys"]["root"] })).is_empty()
        );

        let one = |changed: fn(&mut Value)| {
            let risks = risks(changed);
            assert_eq!(risks.len(), 1, "{risks:?}");
            risks[0].clone()
        };
        assert!(one(|told| told["root"]["device"] = json!("/dev/vdb1")).contains("root device"));
        assert!(one(|told| told["loader"]["systemd-boot"] = json!(true)).contains("boot loader"));
        assert!(one(|told| told["addresses"] = json!(["10.0.0.2"])).contains("10.0.0.1"));
        assert!(one(|told| told["ssh"]["ports"] = json!([2222])).contains("port 22"));
        assert!(one(|told| told["ssh"]["files"] = json!([])).contains("authorized_keys.d"));
        assert!(
            one(|told| drop(told["ssh"]["keys"]["root"].as_array_mut().unwrap().remove(0)))
                .contains("ann@laptop")
        );
        assert!(
            one(|told| drop(told["ssh"]["keys"]["root"].as_array_mut().unwrap().remove(1)))
                .contains("DDDDEEEE")
        );
        assert_eq!(risks(|told| told["ssh"]["keys"] = json!({})).len(), 2);
    }

    #[test]
    fn whose_unit_differs_begins_anew() {
        let nodes = ["broker-1".to_owned(), "zk-1".to_owned(), "new-1".to_owned()];
        let after = facts(|told| told["services"]["zk-1"] = json!("/nix/store/c-unit"));
        assert_eq!(facts(|_| {}).renewed(&after, nodes.iter()), ["zk-1".to_owned()].into());
        let others: [fn(&mut Value); 3] = [
            |told| told["network"]["nftables.service"] = json!("/nix/store/e-unit"),
            |told| told["sysctl"]["vm.swappiness"] = json!(60),
            |told| told["hosts"]["10.0.0.9"] = json!(["broker-9"]),
        ];
        for changed in others {
            assert_eq!(facts(|_| {}).renewed(&facts(changed), nodes.iter()).len(), nodes.len());
        }
        assert!(!facts(|_| {}).lacks_boot(&after));
        assert!(facts(|_| {}).lacks_boot(&facts(|told| told["boots"] = json!({}))));
    }
}
