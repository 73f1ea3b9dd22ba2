//! What came of a push, for people and for programs.

use super::Style;
use crate::causes::with_causes;
use crate::nix::{Pushed, Sent, StorePath};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How far a push under way has come, by host.
#[derive(Default)]
pub(super) struct UnderWay(BTreeMap<String, Sent>);

impl UnderWay {
    /// Takes note of a host, and returns what is to be told: of that host, and of all where there are several.
    pub(super) fn note(&mut self, host: &str, sent: Sent) -> Vec<(String, Sent)> {
        self.0.insert(host.to_owned(), sent);
        let mut told = vec![(host.to_owned(), sent)];
        if self.0.len() > 1 {
            let add = |all: Sent, one: &Sent| Sent {
                paths: all.paths + one.paths,
                of_paths: all.of_paths + one.of_paths,
                bytes: all.bytes + one.bytes,
                of_bytes: all.of_bytes + one.of_bytes,
            };
            told.push((format!("all {} hosts", self.0.len()), self.0.values().fold(Sent::default(), add)));
        }
        told
    }
}

/// How far a push has come.
pub(super) fn under_way(to: &str, sent: Sent) -> String {
    let Sent { paths, of_paths, bytes, of_bytes } = sent;
    format!("{to}: {paths} of {of_paths} paths, {} of {}", size(bytes), size(of_bytes))
}

/// A size in bytes, for people.
pub(super) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut size, mut unit) = (bytes as f64 / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < units.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    format!("{size:.1} {}", units[unit])
}

/// A host a line, and two more for one that has failed.
pub(super) fn text((paths, bytes): (usize, u64), hosts: &[Pushed], style: Style) -> String {
    let mut out = format!("{}, {}\n", counted(paths), size(bytes));
    for Pushed { host, failure, sent, on_wire, cuts, took } in hosts {
        let sign = if failure.is_some() { style.bad("✗") } else { style.good("✓") };
        let what = match (sent.paths, failure) {
            (0, None) => "had all of it".to_owned(),
            (0, Some(_)) => "got nothing".to_owned(),
            (paths, _) => format!("got {}, {} as {}", counted(paths), size(sent.bytes), size(*on_wire)),
        };
        let cuts = match cuts {
            0 => String::new(),
            1 => ", after the link broke once".into(),
            n => format!(", after the link broke {n} times"),
        };
        let time = style.dim(&format!("({:.1} s)", took.as_secs_f64()));
        out.push_str(&format!("{sign} {} {what}{cuts} {time}\n", style.strong(host)));
        if let Some(failure) = failure {
            out.push_str(&format!("    {}\n", with_causes(failure)));
            out.push_str(&format!("    {} {}\n", style.hint("hint:"), failure.hint(host)));
        }
    }
    out
}

fn counted(paths: usize) -> String {
    if paths == 1 { "1 path".into() } else { format!("{paths} paths") }
}

pub(super) fn document(roots: &[StorePath], (paths, bytes): (usize, u64), hosts: &[Pushed]) -> Value {
    let told = |Pushed { host, failure, sent, on_wire, cuts, took }: &Pushed| {
        json!({
            "host": host, "ok": failure.is_none(), "paths": sent.paths, "bytes": sent.bytes, "on_wire": on_wire,
            "cuts": cuts, "millis": took.as_millis() as u64, "error": failure.as_ref().map(|error| with_causes(error)),
            "hint": failure.as_ref().map(|error| error.hint(host)),
        })
    };
    let roots: Vec<&str> = roots.iter().map(StorePath::as_str).collect();
    json!({ "roots": roots, "paths": paths, "bytes": bytes, "hosts": hosts.iter().map(told).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::{Sent, UnderWay, size, under_way};

    #[test]
    fn all_hosts_are_told_of_beside_each_where_there_are_several() {
        let sent = |paths| Sent { paths, of_paths: 10, bytes: 1024 * paths as u64, of_bytes: 10240 };
        let mut push = UnderWay::default();
        assert_eq!(push.note("zk-1", sent(1)), [("zk-1".into(), sent(1))]);
        push.note("zk-2", sent(0));
        let told = push.note("zk-2", sent(4));
        let told: Vec<String> = told.iter().map(|(to, sent)| under_way(to, *sent)).collect();
        let all = "all 2 hosts: 5 of 20 paths, 5.0 KiB of 20.0 KiB";
        assert_eq!(told, ["zk-2: 4 of 10 paths, 4.0 KiB of 10.0 KiB", all]);
    }

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(1 << 30), "1.0 GiB");
    }
}
