//! Searches every world that can come of one, those that take fewer faults first.

use crate::world::{Ended, Fault, Harm, Rule, Step, World};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Search<'a> {
    pub(crate) first: Vec<World>,
    pub(crate) rule: Rule,
    pub(crate) faults: &'a [Fault],
    /// So many of them at most.
    pub(crate) at_most: u8,
    /// One that asks waits for who can't vouch yet. Otherwise it asks only where those who can are enough, and what
    /// becomes of them until it acts is searched all the same.
    pub(crate) patient: bool,
    /// Which harm is looked for, by the way to it.
    pub(crate) wanted: fn(&[Step]) -> bool,
}

/// How it ended.
pub(crate) struct Found {
    /// How many different worlds were seen.
    pub(crate) worlds: usize,
    /// How often we stopped a broker.
    pub(crate) stops: usize,
    /// How often Kafka lost records without us.
    pub(crate) unclean: usize,
    /// The harm, and the way to it.
    pub(crate) harm: Option<(Harm, Vec<Step>)>,
}

/// A hash by multiplication: the search spends most of its time hashing.
#[derive(Default)]
pub(crate) struct Quick(u64);

impl Quick {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
    fn write(&mut self, bytes: &[u8]) {
        for eight in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..eight.len()].copy_from_slice(eight);
            self.add(u64::from_le_bytes(word));
        }
    }
    fn write_u8(&mut self, byte: u8) {
        self.add(byte.into());
    }
    fn write_u16(&mut self, word: u16) {
        self.add(word.into());
    }
    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }
}

/// The same for worlds that differ in names only.
fn fingerprint(world: &World) -> u64 {
    let renamed = [(false, false), (false, true), (true, false), (true, true)];
    let of = |(ends, middle)| {
        let mut hasher = Quick::default();
        world.renamed(ends, middle).hash(&mut hasher);
        hasher.finish()
    };
    renamed.map(of).into_iter().min().expect("there are four")
}

/// A world is known by its fingerprint of 64 bits, with the one that it came of and how. Two of a hundred million
/// worlds have the same with a probability of less than one in a thousand.
type Known = HashMap<u64, (u64, Step), BuildHasherDefault<Quick>>;

impl Search<'_> {
    pub(crate) fn run(&self) -> Found {
        let mut known = Known::default();
        let (mut unclean, mut stops) = (0, 0);
        let mut harm = None;
        let mut level = self.first.clone();
        for world in &level {
            let own = fingerprint(world);
            known.insert(own, (own, Step::Heal));
        }
        for spent in 0..=self.at_most {
            let mut next = Vec::new();
            let mut open = std::collections::VecDeque::from(std::mem::take(&mut level));
            while let Some(world) = open.pop_front() {
                let from = fingerprint(&world);
                let faults = if spent < self.at_most { self.faults } else { &[] };
                world.next(self.rule, self.patient, faults, |step, fault, after| match after {
                    Ok(after) => {
                        stops += usize::from(matches!(step, Step::Stop(_)));
                        let Entry::Vacant(place) = known.entry(fingerprint(&after)) else { return };
                        place.insert((from, step));
                        if fault { next.push(after) } else { open.push_back(after) }
                    }
                    Err(Ended::Unclean) => unclean += 1,
                    Err(Ended::Harm(found)) => {
                        let way = way(&known, from, step);
                        if (self.wanted)(&way) {
                            harm.get_or_insert((found, way));
                        }
                    }
                });
                if harm.is_some() {
                    return Found { worlds: known.len(), stops, unclean, harm };
                }
            }
            level = next;
        }
        Found { worlds: known.len(), stops, unclean, harm }
    }
}

fn way(known: &Known, mut at: u64, last: Step) -> Vec<Step> {
    let mut steps = vec![last];
    while let (from, step) = known[&at]
        && from != at
    {
        steps.push(step);
        at = from;
    }
    steps.reverse();
    steps
}
