//! Searches every world that can come of one, those that take fewer faults first.

use crate::roll::Rolls;
use crate::world::{Ended, Fault, Harm, Rule, Step, World};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many worlds are struck by faults before all that comes of that is searched: what must be kept of the last level of
/// faults is the fingerprints only.
const STRUCK_AT_ONCE: usize = 100_000;

/// Fewer worlds than these are gone on from by one thread alone, so that a small search finds the same way each time.
const WORTH_A_THREAD: usize = 10_000;

/// What a thread takes at once.
const SHARE: usize = 1_000;

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
    /// Rolls stop brokers too, as often as they like.
    pub(crate) rolls: Option<Rolls>,
    /// Which harm is looked for, by the way to it.
    pub(crate) wanted: fn(&[Step]) -> bool,
}

/// How it ended.
#[derive(Debug, Default)]
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

/// A hash by multiplication: the search spends much of its time hashing.
#[derive(Default)]
pub(crate) struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for eight in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..eight.len()].copy_from_slice(eight);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u64(&mut self, word: u64) {
        let product =
            u128::from(self.0.rotate_left(32) ^ word ^ 0xD6E8_FEB8_6659_FD93) * 0xA076_1D64_78BD_642F_u128;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}

/// A fingerprint is a hash already.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("fingerprints are of 64 bits");
    }
    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

/// The worlds that have been seen, each by its fingerprint of 64 bits, with that of the one that it came of. Two of a hundred
/// million worlds have the same with a probability of less than one in a thousand.
struct Known(Vec<Mutex<HashMap<u64, u64, BuildHasherDefault<Itself>>>>);

impl Known {
    fn new() -> Self {
        Self((0..256).map(|_| Mutex::default()).collect())
    }

    fn part(&self, world: u64) -> &Mutex<HashMap<u64, u64, BuildHasherDefault<Itself>>> {
        &self.0[(world >> 40) as usize % self.0.len()]
    }

    /// Takes note of a world; whether it is new.
    fn note(&self, world: u64, from: u64) -> bool {
        match self.part(world).lock().expect("no search panics").entry(world) {
            Entry::Vacant(place) => {
                place.insert(from);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    fn came_of(&self, world: u64) -> u64 {
        self.part(world).lock().expect("no search panics")[&world]
    }

    fn count(&self) -> usize {
        self.0.iter().map(|part| part.lock().expect("no search panics").len()).sum()
    }
}

/// What comes of some worlds.
#[derive(Default)]
struct Next {
    worlds: Vec<World>,
    found: Found,
}

/// What to go on with from a world.
#[derive(Debug, Clone, Copy)]
enum By {
    Steps,
    Faults,
}

impl Search<'_> {
    pub(crate) fn run(&self) -> Found {
        let known = Known::new();
        let mut found = Found::default();
        for world in &self.first {
            let own = world.fingerprint();
            known.note(own, own);
        }
        let mut whole = self.all_from(&known, self.first.clone(), self.at_most > 0, &mut found);
        for spent in 1..=self.at_most {
            let mut reached = Vec::new();
            for some in whole.chunks(STRUCK_AT_ONCE) {
                let struck = self.next(&known, some, By::Faults, &mut found);
                reached.append(&mut self.all_from(&known, struck, spent < self.at_most, &mut found));
            }
            whole = reached;
        }
        found.worlds = known.count();
        found
    }

    /// All that comes of these by itself, they among them, where it is to be kept.
    fn all_from(&self, known: &Known, mut open: Vec<World>, keep: bool, found: &mut Found) -> Vec<World> {
        let mut all = Vec::new();
        while !open.is_empty() {
            let next = self.next(known, &open, By::Steps, found);
            if keep {
                all.append(&mut open);
            }
            open = next;
        }
        all
    }

    /// The new worlds that come next; none once a harm is found.
    fn next(&self, known: &Known, of: &[World], by: By, found: &mut Found) -> Vec<World> {
        if found.harm.is_some() {
            return Vec::new();
        }
        let taken = AtomicUsize::new(0);
        let work = || {
            let mut next = Next::default();
            while let Some(some) = of.chunks(SHARE).nth(taken.fetch_add(1, Ordering::Relaxed))
                && next.found.harm.is_none()
            {
                some.iter().for_each(|world| self.go_on(known, world, by, &mut next));
            }
            next
        };
        let threads = if of.len() < WORTH_A_THREAD {
            1
        } else {
            std::thread::available_parallelism().map_or(1, Into::into)
        };
        let parts: Vec<Next> = if threads == 1 {
            vec![work()]
        } else {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                threads.into_iter().map(|one| one.join().expect("no search panics")).collect()
            })
        };
        let mut worlds = Vec::new();
        for mut part in parts {
            worlds.append(&mut part.worlds);
            found.stops += part.found.stops;
            found.unclean += part.found.unclean;
            found.harm = found.harm.take().or(part.found.harm);
        }
        worlds
    }

    fn go_on(&self, known: &Known, world: &World, by: By, next: &mut Next) {
        let from = world.fingerprint();
        let each = |step: Step, after: Result<World, Ended>| match after {
            Ok(after) => {
                next.found.stops += usize::from(matches!(step, Step::Stop(_) | Step::RollStops(_)));
                if known.note(after.fingerprint(), from) {
                    next.worlds.push(after);
                }
            }
            Err(Ended::Unclean) => next.found.unclean += 1,
            Err(Ended::Harm(harm)) if next.found.harm.is_none() => {
                let mut way = self.way(known, from);
                way.push(step);
                next.found.harm = (self.wanted)(&way).then_some((harm, way));
            }
            Err(Ended::Harm(_)) => {}
        };
        match by {
            By::Steps => world.next(self.rule, self.patient, self.rolls, each),
            By::Faults => world.struck_by(self.faults, each),
        }
    }

    /// The way to a world that has been seen.
    fn way(&self, known: &Known, to: u64) -> Vec<Step> {
        let mut back = vec![to];
        while let Some(at) = back.last()
            && let from = known.came_of(*at)
            && from != *at
        {
            back.push(from);
        }
        let first = back.pop().expect("it has a beginning");
        let mut at = *self.first.iter().find(|world| world.fingerprint() == first).expect("it began there");
        let mut way = Vec::new();
        for to in back.into_iter().rev() {
            let mut found = None;
            let mut each = |step, after: Result<World, Ended>| {
                if let Ok(after) = after
                    && after.fingerprint() == to
                {
                    found = found.or(Some((step, after)));
                }
            };
            at.next(self.rule, self.patient, self.rolls, &mut each);
            at.struck_by(self.faults, &mut each);
            let (step, after) = found.expect("it came of this one");
            way.push(step);
            at = after;
        }
        way
    }
}
