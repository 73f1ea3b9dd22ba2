//! In which operations missing paths are sent, and which hosts get each. Pure.

use super::{PathInfo, StorePath};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// Paths that a daemon adds in one go: it says only afterwards how that went.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// Places of paths in the closure, references before what names them.
    pub(super) paths: Vec<usize>,
    /// The sizes of their NARs, in bytes.
    pub(super) bytes: u64,
    /// The hosts that miss all of these, by number.
    pub(super) hosts: BTreeSet<usize>,
    /// Some of these hosts believe to have one of these, which may be broken there.
    pub(super) repair: bool,
}

/// The hosts that get a path.
#[derive(Debug, Clone, Default)]
pub(super) struct Lacking {
    /// By number.
    pub(super) hosts: BTreeSet<usize>,
    /// One of them believes to have it.
    pub(super) in_doubt: bool,
}

/// An operation of this size takes no more paths, in bytes: with one more path of the usual size it is still one frame.
const FULL: u64 = 12 << 20;
/// Nor does one of so many: a daemon takes less than a second for them.
const MOST_PATHS: usize = 1000;

/// Arranges all paths that somebody misses so that a host gets each path after what it names, that no host gets what it has,
/// and that all hosts that get an operation get the same one.
///
/// `missing` tells for each path of the closure which hosts miss it. A host that has a path has all that it names, as far as
/// it knows.
pub(super) fn operations(paths: &[PathInfo], missing: &[Lacking]) -> Vec<Operation> {
    let places: HashMap<&StorePath, usize> =
        paths.iter().enumerate().map(|(place, info)| (&info.path, place)).collect();
    let is_missing = |place: usize| !missing[place].hosts.is_empty();
    let mut waits_for = vec![0usize; paths.len()];
    let mut named_by = vec![Vec::new(); paths.len()];
    for (place, info) in paths.iter().enumerate().filter(|(place, _)| is_missing(*place)) {
        let references = info.references.iter().filter_map(|reference| places.get(reference).copied());
        for reference in references.filter(|reference| *reference != place && is_missing(*reference)) {
            waits_for[place] += 1;
            named_by[reference].push(place);
        }
    }
    // Those that may be sent now, by who misses them. Staying with the same hosts as long as possible makes few operations.
    let mut ready: BTreeMap<Rc<BTreeSet<usize>>, Vec<usize>> = BTreeMap::new();
    let may_be_sent = |ready: &mut BTreeMap<_, Vec<usize>>, place: usize| {
        ready.entry(Rc::new(missing[place].hosts.clone())).or_default().push(place);
    };
    for place in (0..paths.len()).filter(|place| is_missing(*place) && waits_for[*place] == 0) {
        may_be_sent(&mut ready, place);
    }
    let mut all = Vec::new();
    while let Some(hosts) = ready.keys().next().cloned() {
        let begun = || Operation { paths: Vec::new(), bytes: 0, hosts: (*hosts).clone(), repair: false };
        let mut now = begun();
        while let Some(place) = ready.get_mut(&hosts).and_then(Vec::pop) {
            now.paths.push(place);
            now.bytes += paths[place].nar_size;
            now.repair |= missing[place].in_doubt;
            for &next in &named_by[place] {
                waits_for[next] -= 1;
                if waits_for[next] == 0 {
                    may_be_sent(&mut ready, next);
                }
            }
            if now.bytes >= FULL || now.paths.len() >= MOST_PATHS {
                all.push(std::mem::replace(&mut now, begun()));
            }
        }
        if !now.paths.is_empty() {
            all.push(now);
        }
        ready.remove(&hosts);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(number: usize) -> StorePath {
        format!("/nix/store/{number:032}-x").parse().unwrap()
    }

    /// Each path names some of those before it, and itself where it is odd.
    fn closure(references: &[Vec<usize>], size: u64) -> Vec<PathInfo> {
        let info = |(place, references): (usize, &Vec<usize>)| PathInfo {
            path: path(place),
            deriver: String::new(),
            nar_hash: String::new(),
            references: references
                .iter()
                .filter(|_| place > 0)
                .map(|reference| path(reference % place))
                .chain((place % 2 == 1).then(|| path(place)))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            registered: 0,
            nar_size: size,
            signatures: Vec::new(),
            content_address: String::new(),
        };
        references.iter().enumerate().map(info).collect()
    }

    proptest! {
        #[test]
        fn each_host_gets_what_it_misses_once_and_references_first(
            references in prop::collection::vec(prop::collection::vec(0usize..1000, 0..4), 1..400),
            has in prop::collection::vec(prop::collection::vec(0usize..1000, 0..4), 1..4),
            size in prop_oneof![Just(1u64), Just(3 << 20), Just(9 << 20)],
        ) {
            let paths = closure(&references, size);
            // What a host has is closed: with a path it has all that this names.
            let has: Vec<BTreeSet<usize>> = has.iter().map(|tops| {
                let mut has: BTreeSet<usize> = tops.iter().map(|top| top % paths.len()).collect();
                for place in (0..paths.len()).rev().filter(|place| has.contains(place)).collect::<Vec<_>>() {
                    let mut left = vec![place];
                    while let Some(place) = left.pop() {
                        for named in &paths[place].references {
                            let named = paths.iter().position(|info| info.path == *named).unwrap();
                            if has.insert(named) { left.push(named); }
                        }
                    }
                }
                has
            }).collect();
            let missing: Vec<Lacking> = (0..paths.len())
                .map(|place| {
                    let hosts = (0..has.len()).filter(|host| !has[*host].contains(&place)).collect();
                    Lacking { hosts, in_doubt: place % 7 == 0 }
                })
                .collect();
            let operations = operations(&paths, &missing);
            for (host, has) in has.iter().enumerate() {
                let mut there = has.clone();
                for operation in operations.iter().filter(|operation| operation.hosts.contains(&host)) {
                    prop_assert!(operation.paths.len() <= MOST_PATHS);
                    prop_assert!(operation.bytes < FULL + size);
                    prop_assert_eq!(operation.repair, operation.paths.iter().any(|place| missing[*place].in_doubt));
                    for &place in &operation.paths {
                        for named in paths[place].references.iter().filter(|named| **named != paths[place].path) {
                            let named = paths.iter().position(|info| info.path == *named).unwrap();
                            prop_assert!(there.contains(&named), "{place} before {named}");
                        }
                        prop_assert!(there.insert(place), "{place} twice");
                    }
                }
                prop_assert_eq!(there.len(), paths.len());
            }
        }
    }

    #[test]
    fn hosts_that_miss_the_same_share_few_operations() {
        let paths = closure(&vec![vec![1, 7]; 1000], 100);
        let both = BTreeSet::from([0, 1]);
        let lacking = |place| if place < 500 { BTreeSet::from([1]) } else { both.clone() };
        let missing: Vec<_> =
            (0..1000).map(|place| Lacking { hosts: lacking(place), in_doubt: false }).collect();
        let operations = operations(&paths, &missing);
        assert!(operations.len() <= 6, "{}", operations.len());
    }
}
