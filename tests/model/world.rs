//! A world small enough to be searched whole: brokers with their hosts, watchdogs and links, what ZooKeeper holds of them,
//! a controller, and partitions of three replicas of which two must have a record.
//!
//! Nothing in it has a time, so that everything may be as late as it likes, and a session may last however long.
//!
//! What is taken for given of Kafka: the controller works off what became of registrations in their order, those that
//! came back first, before it elects or writes an ISR; a new controller too knows who came back. (It doesn't, where a
//! broker's host is lost and back while there is no controller at all. Then a replica that lacks records counts as in
//! sync, and any crash of its leader loses them, whoever brings it about.)

use crate::broker::{
    ALL, BROKERS, Brokers, Links, NOBODY, Renaming, at_the_end_of, has, link, links_among, links_between,
    members, one, one_or_none,
};
use crate::roll::{self, Rolls, Seen};
use crate::search::Quick;
use octad::kafka::{Look, Partition, Voucher, is_apart};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

pub(crate) const PARTITIONS: usize = 2;
pub(crate) const REPLICAS: [[u8; 3]; PARTITIONS] = [[3, 2, 4], [2, 3, 4]];
pub(crate) const MIN_INSYNC: u32 = 2;
/// So many watchdogs ask at once at most.
const ASKS: usize = 2;

fn replicas(partition: usize) -> Brokers {
    REPLICAS[partition].iter().fold(0, |set, id| set | one(*id))
}

/// What goes wrong by itself. Each counts as one fault; that it is mended costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A process ends, and leaves what it wrote with the kernel.
    Process,
    /// A host ends, and what was not yet on its disk is lost.
    Host,
    /// A process stands still.
    StandStill,
    /// A watchdog that has asked stands still, for longer than it may act.
    Sleep,
    /// A broker is cut off from all others.
    Peers,
    /// Two brokers are cut off from the others, and not from each other.
    Split,
    /// One link is cut.
    Link,
    /// A broker is cut off from ZooKeeper.
    Zookeeper,
    /// A session ends although its broker lives.
    Session,
}

/// A step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Fault(Fault, u8, u8),
    Goes(u8),
    Wakes(u8),
    Heal,
    HealZookeeper(u8),
    SessionEnds(u8),
    Registers(u8),
    Controller(u8),
    Shrinks(usize, u8),
    Expands(usize, u8),
    Ask(u8),
    Vouch {
        by: u8,
        to: u8,
    },
    Look(u8),
    GivesUp(u8),
    HandsOver(u8),
    Stop(u8),
    /// A roll has a broker's watchdog vouch for it no more.
    RollClaims(u8),
    /// It looks whether it may stop the first of these, and the others, though they may serve, don't answer it.
    RollLooks(u8, Brokers),
    RollStops(u8),
    RollGivesUp,
}

/// What came of a step that must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// A deed of ours left a partition with too few of its ISR that lived and reached each other and the controller.
    TooFew { partition: usize, stopped: u8 },
    /// A leader lacks records that a broker holds which a deed of ours took out of the ISR.
    Lost { partition: usize, leader: u8 },
}

/// What is not gone on from.
pub(crate) enum Ended {
    Harm(Harm),
    /// Kafka has lost records where nothing of ours had a part in it.
    Unclean,
}

/// Which rule watchdogs follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Octad's.
    Present,
    /// Octad's without one of its conditions.
    Without(Condition),
    /// What watchdogs did until they asked each other: registered counts as living, one acts at a time, and partitions
    /// that are led elsewhere don't matter.
    Registered,
    /// The same, where those matter too.
    RegisteredEverywhere,
}

impl Rule {
    /// Others are asked.
    fn asks(self) -> bool {
        matches!(self, Self::Present | Self::Without(_))
    }
}

/// A condition of the present rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Who is needed has been heard.
    Heard,
    /// Nobody registered since its ISR was written.
    InSyncSince,
    /// Who is needed reaches each other.
    Reach,
    /// The controller has been heard.
    ControllerHeard,
    /// Every partition in whose ISR the broker is counts, led by it or not.
    EveryPartition,
    /// The clock goes on while the watchdog stands still.
    Clock,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Replicated {
    pub(crate) leader: u8,
    pub(crate) isr: Brokers,
    /// Registered before the ISR was written.
    since: Brokers,
    /// Lack records that had been acknowledged.
    pub(crate) lack: Brokers,
    /// Taken out of the ISR by a deed of ours.
    ousted: Brokers,
    /// Left in the ISR by a deed of ours, and in it without a failure since it was asked for.
    kept: Brokers,
}

/// One broker is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Asked {
    by: u8,
    vouched: Brokers,
    reaches: [Brokers; BROKERS as usize],
    /// The answer was yes.
    ready: bool,
    /// It stands still.
    asleep: bool,
    /// It has been registered all the time since.
    counted: bool,
    /// What has been so at some moment since: brokers that lived and had all records, links that were whole.
    lived: Brokers,
    whole: Links,
    /// Have failed since.
    failed: Brokers,
    /// A roll, or a watchdog where it is a roll that looked, has stopped them since.
    ours: Brokers,
    /// The ISRs that the answer rests on.
    isr: [Brokers; PARTITIONS],
    /// Who would have had others lead, when it was given.
    elect: Brokers,
}

impl Asked {
    /// Whether some of these are enough for a partition: they reach each other, and who has others lead.
    fn enough(&self, of: Brokers) -> bool {
        let linked = |a: u8, b: u8| a == b || self.whole & link(a, b) != 0;
        (0..=ALL)
            .filter(|some| some & !of == 0 && some.count_ones() >= MIN_INSYNC)
            .any(|some| members(some).all(|a| members(some | self.elect).all(|b| linked(a, b))))
    }

    fn renamed(self, to: Renaming) -> Self {
        if self.by == NOBODY {
            return self;
        }
        let Self { by, vouched, reaches, ready, asleep, counted, lived, whole, failed, ours, isr, elect } =
            self;
        let [vouched, lived, failed, ours, elect] =
            [vouched, lived, failed, ours, elect].map(|set| to.set(set));
        let reach = |index: usize| to.set(reaches[usize::from(to.name(index as u8 + 1) - 1)]);
        let swap = usize::from(to.swaps_partitions());
        Self {
            by: to.name(by),
            vouched,
            reaches: std::array::from_fn(reach),
            ready,
            asleep,
            counted,
            lived,
            whole: to.links(whole),
            failed,
            ours,
            isr: std::array::from_fn(|index| to.set(isr[index ^ swap])),
            elect,
        }
    }
}

/// The world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct World {
    /// Have a process.
    up: Brokers,
    /// Whose process stands still.
    still: Brokers,
    registered: Brokers,
    /// Have registered anew, and the controller has not dealt with it.
    back: Brokers,
    cut: Links,
    /// Are cut off from ZooKeeper.
    deaf: Brokers,
    controller: u8,
    pub(crate) partitions: [Replicated; PARTITIONS],
    asked: [Asked; ASKS],
    roll: Rolling,
}

/// What a roll is about to do, which is somewhat late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Rolling {
    /// The broker's watchdog knows of it.
    claimed: bool,
    /// As if it had been asked for.
    look: Asked,
    /// Partitions that had enough of their ISR, with the broker, when it was looked.
    whole: [bool; PARTITIONS],
}

impl World {
    /// All is well.
    pub(crate) fn whole(controller: u8) -> Self {
        let partition = |index: usize| {
            let all = replicas(index);
            Replicated { leader: REPLICAS[index][0], isr: all, since: ALL, ..Replicated::default() }
        };
        Self {
            up: ALL,
            still: 0,
            registered: ALL,
            back: 0,
            cut: 0,
            deaf: 0,
            controller,
            partitions: std::array::from_fn(partition),
            asked: [Asked::default(); ASKS],
            roll: Rolling::default(),
        }
    }

    /// The same without the second partition, so that more of what becomes of the first can be searched.
    pub(crate) fn alone(mut self) -> Self {
        self.partitions[1] = Replicated::default();
        self
    }

    /// The same with one replica of a partition out of sync.
    pub(crate) fn without(mut self, partition: usize, out: u8) -> Self {
        self.partitions[partition].isr &= !one(out);
        self
    }

    /// The same after a fault.
    pub(crate) fn struck(mut self, fault: Fault, id: u8) -> Self {
        assert!(self.strike(fault, id, NOBODY), "{fault:?} changes nothing");
        self
    }

    /// The same world with other names.
    pub(crate) fn renamed(&self, to: Renaming) -> Self {
        let Self { up, still, registered, back, cut, deaf, controller, partitions, asked, roll } = *self;
        let swap = usize::from(to.swaps_partitions());
        let [up, still, registered, back, deaf] = [up, still, registered, back, deaf].map(|set| to.set(set));
        let partition = |index: usize| {
            let Replicated { leader, isr, since, lack, ousted, kept } = partitions[index ^ swap];
            let [isr, since, lack, ousted, kept] = [isr, since, lack, ousted, kept].map(|set| to.set(set));
            Replicated { leader: to.name(leader), isr, since, lack, ousted, kept }
        };
        let mut asked = asked.map(|asked| asked.renamed(to));
        asked.sort_unstable_by_key(|asked| asked.by);
        let (cut, controller) = (to.links(cut), to.name(controller));
        let partitions = std::array::from_fn(partition);
        let roll = Rolling {
            claimed: roll.claimed,
            look: roll.look.renamed(to),
            whole: std::array::from_fn(|index| roll.whole[index ^ swap]),
        };
        Self { up, still, registered, back, cut, deaf, controller, partitions, asked, roll }
    }

    /// All that it consists of.
    fn words(&self) -> [u64; 6] {
        let Self { up, still, registered, back, cut, deaf, controller, partitions, asked, roll } = self;
        let mut words = [0; 6];
        let mut put =
            |word: usize, bits: u32, value: u16| words[word] = words[word] << bits | u64::from(value);
        for set in [up, still, registered, back, deaf, controller] {
            put(0, 5, (*set).into());
        }
        put(0, 10, *cut);
        for partition in partitions {
            let Replicated { leader, isr, since, lack, ousted, kept } = *partition;
            for set in [leader, isr, since, lack, ousted, kept] {
                put(1, 5, set.into());
            }
        }
        put(
            0,
            3,
            [roll.claimed, roll.whole[0], roll.whole[1]]
                .iter()
                .fold(0, |all, bit| all << 1 | u16::from(*bit)),
        );
        for (index, asked) in asked.iter().chain([&roll.look]).enumerate() {
            let Asked {
                by,
                vouched,
                reaches,
                ready,
                asleep,
                counted,
                lived,
                whole,
                failed,
                ours,
                isr,
                elect,
            } = *asked;
            for set in [by, vouched, lived, failed, ours, isr[0], isr[1], elect] {
                put(2 + index, 5, set.into());
            }
            put(2 + index, 10, whole);
            put(2 + index, 3, u16::from(ready) << 2 | u16::from(asleep) << 1 | u16::from(counted));
            for set in reaches.into_iter().filter(|_| index < ASKS) {
                put(5, 5, set.into());
            }
        }
        words
    }

    /// The same number for all worlds that differ in names only, and hardly ever for others.
    pub(crate) fn fingerprint(&self) -> u64 {
        let words = Renaming::EVERY.map(|to| self.renamed(to).words());
        let first = words.into_iter().min().expect("there are four");
        let mut hasher = Quick::default();
        first.into_iter().for_each(|word| hasher.write_u64(word));
        hasher.finish()
    }

    fn runs(&self, id: u8) -> bool {
        has(self.up & !self.still, id)
    }

    fn linked(&self, a: u8, b: u8) -> bool {
        a == b || self.cut & link(a, b) == 0
    }

    /// Whose hosts a broker's own host reaches: a host is there whatever its process does.
    fn reached(&self, from: u8) -> Brokers {
        self.registered & self.up & !one(from) & !at_the_end_of(self.cut, from)
    }

    fn is_apart(&self, id: u8) -> bool {
        let others = self.registered & !one(id);
        is_apart(others.count_ones() as usize, (self.reached(id) & others).count_ones() as usize)
    }

    /// The controller works and is heard by ZooKeeper.
    fn controls(&self) -> bool {
        self.controller != NOBODY && self.runs(self.controller) && !has(self.deaf, self.controller)
    }

    fn looks(&mut self) -> impl Iterator<Item = &mut Asked> {
        self.asked.iter_mut().chain([&mut self.roll.look])
    }

    fn ask_of(&self, id: u8) -> Option<usize> {
        self.asked.iter().position(|asked| asked.by == id)
    }

    /// The controller deals with what it can see. One that is slow stands still.
    fn settled(mut self) -> Result<Self, Ended> {
        if self.controls() {
            self.catch_up()?;
        }
        Ok(self.noted())
    }

    /// Those that live, and have all records of the partitions in whose ISRs they are.
    fn lives(&self) -> Brokers {
        let lacks = self.partitions.iter().fold(0, |all, one| all | (one.lack & one.isr));
        self.up & !self.still & self.registered & !lacks & !self.back
    }

    /// Brings what has been seen since each was asked up to date.
    fn noted(mut self) -> Self {
        let lives = self.lives();
        let (whole, registered) = (links_among(ALL) & !self.cut, self.registered);
        for asked in self.looks() {
            if asked.by == NOBODY {
                *asked = Asked::default();
                continue;
            }
            asked.counted &= has(registered, asked.by);
            asked.lived |= lives;
            asked.whole |= whole;
            asked.ours &= !lives;
            // What makes no difference any more is seen as the same.
            if asked.ready {
                let needed = asked.elect | asked.isr.iter().fold(0, |all, isr| all | isr) & !one(asked.by);
                (asked.vouched, asked.reaches) = (0, Default::default());
                asked.lived &= needed;
                asked.failed &= needed;
                asked.ours &= needed;
                asked.whole &= links_among(needed);
            }
        }
        for partition in &mut self.partitions {
            partition.since &= partition.isr;
            partition.ousted &= !partition.lack;
            // Who joins the ISR has fetched first.
            partition.lack &= partition.isr;
            if partition.ousted == 0 || partition.kept == 0 {
                (partition.ousted, partition.kept) = (0, 0);
            }
        }
        if !self.roll.look.ready {
            self.roll.look = Asked { by: self.roll.look.by, ..Asked::default() };
        }
        let known = self.known();
        self.back &= known;
        // In an order of its own, so that the same world is seen as the same.
        self.asked.sort_unstable_by_key(|asked| asked.by);
        self
    }

    /// Those whom the controller has to do with.
    fn known(&self) -> Brokers {
        self.partitions.iter().fold(0, |set, partition| set | partition.isr | one_or_none(partition.leader))
    }

    /// Whose vouching can matter to one that asks: those in its ISRs, and who elects. What others promise only binds
    /// them.
    fn needed(&self, by: u8) -> Brokers {
        let of = |set, one: &Replicated| if has(one.isr, by) { set | one.isr } else { set };
        (self.partitions.iter().fold(0, of) | self.elect(by)) & !one(by)
    }

    /// Whoever may become the controller in the place of one that is stopped, or the controller.
    fn elect(&self, stopped: u8) -> Brokers {
        if self.controller == stopped {
            self.registered & !one(stopped)
        } else {
            one_or_none(self.controller)
        }
    }

    fn vouches(&mut self, by: u8, index: usize) -> bool {
        let asked = self.asked[index];
        let reaches = self.reached(by);
        let news = !has(asked.vouched, by) || reaches & !asked.reaches[usize::from(by - 1)] != 0;
        let can = news
            && has(self.needed(asked.by), by)
            && !asked.ready
            && !asked.asleep
            && self.ask_of(by).is_none()
            && (self.roll.look.by != by || !self.roll.claimed)
            && self.runs(by)
            && has(self.registered & !self.deaf, by)
            && !self.is_apart(by);
        if can {
            self.asked[index].vouched |= one(by);
            self.asked[index].reaches[usize::from(by - 1)] = reaches;
        }
        can
    }

    fn fail(&mut self, id: u8) {
        for partition in &mut self.partitions {
            partition.kept &= !one(id);
        }
        self.looks().for_each(|asked| asked.failed |= one(id));
    }

    fn end_process(&mut self, id: u8) {
        self.fail(id);
        self.up &= !one(id);
        self.still &= !one(id);
        self.forget_ask(id);
    }

    fn forget_ask(&mut self, id: u8) {
        if let Some(index) = self.ask_of(id) {
            self.asked[index] = Asked::default();
        }
    }

    fn end_session(&mut self, id: u8) {
        self.fail(id);
        self.registered &= !one(id);
        self.back &= !one(id);
        if self.controller == id {
            self.controller = NOBODY;
        }
    }

    /// Writes a partition's leader and ISR.
    fn write(&mut self, index: usize, leader: u8, isr: Brokers) -> Result<(), Ended> {
        let registered = self.registered;
        let partition = &mut self.partitions[index];
        let left = partition.isr & !isr;
        (partition.isr, partition.since) = (isr, registered);
        partition.kept &= !left;
        partition.ousted &= !isr;
        let elected = leader != partition.leader;
        partition.leader = leader;
        self.looks().for_each(|asked| asked.failed |= left);
        let partition = &self.partitions[index];
        // One that is registered, and gone with its host, leads nobody; it is dealt with as away once it is back.
        if elected && has(partition.lack & self.up, leader) {
            let held_by_ousted = partition.ousted & !partition.lack != 0;
            // Where all that were left have failed since, acks=all promises nothing any more.
            if held_by_ousted && partition.kept != 0 {
                return Err(Ended::Harm(Harm::Lost { partition: index, leader }));
            }
            return Err(Ended::Unclean);
        }
        Ok(())
    }

    fn elected(&self, index: usize, live: Brokers) -> u8 {
        let partition = &self.partitions[index];
        let mut in_order = REPLICAS[index].iter().copied();
        in_order.find(|id| has(partition.isr & live, *id)).unwrap_or(NOBODY)
    }

    /// The controller deals with all that became of registrations: with those that came back as if they had been away,
    /// then with those that are away.
    fn catch_up(&mut self) -> Result<(), Ended> {
        let (was, back, away) = (self.partitions, self.back, self.known() & !self.registered);
        if back == 0 && away == 0 && was.iter().all(|one| one.leader != NOBODY) {
            return Ok(());
        }
        self.back = 0;
        self.lose(back, away)?;
        for index in 0..PARTITIONS {
            if self.partitions[index].leader == NOBODY {
                let leader = self.elected(index, self.registered);
                if leader != NOBODY {
                    self.write(index, leader, self.partitions[index].isr)?;
                }
            }
        }
        // What it need not write it doesn't.
        for (now, was) in self.partitions.iter_mut().zip(was) {
            if (now.leader, now.isr) == (was.leader, was.isr) {
                now.since = was.since;
            }
        }
        Ok(())
    }

    /// Kafka's `onBrokerFailure`: others lead first, then each goes out of the ISR, but the last one stays. None of those
    /// between which leadership moves meanwhile is taken for a leader.
    fn lose(&mut self, back: Brokers, away: Brokers) -> Result<(), Ended> {
        let live = self.registered & !back;
        for index in 0..PARTITIONS {
            if has(back | away, self.partitions[index].leader) {
                let leader = self.elected(index, live);
                if leader == NOBODY {
                    self.partitions[index].leader = NOBODY;
                } else {
                    self.write(index, leader, self.partitions[index].isr & live)?;
                }
            }
            for id in members(back).chain(members(away)) {
                let Replicated { leader, isr, .. } = self.partitions[index];
                if has(isr, id) && isr != one(id) {
                    self.write(index, leader, isr & !one(id))?;
                }
            }
        }
        Ok(())
    }

    /// The leader has the controller write another ISR.
    fn alter(&mut self, index: usize, add: Brokers, remove: Brokers) -> Result<bool, Ended> {
        let leader = self.partitions[index].leader;
        if !self.runs(leader) || !self.controls() || !self.linked(leader, self.controller) {
            return Ok(false);
        }
        self.catch_up()?;
        let Replicated { leader: now, isr, .. } = self.partitions[index];
        if now != leader || !has(self.registered, leader) || add & !self.registered != 0 {
            return Ok(false);
        }
        self.write(index, leader, (isr | add) & !remove)?;
        Ok(true)
    }

    fn fetches(&self, index: usize, id: u8) -> bool {
        let leader = self.partitions[index].leader;
        self.runs(leader) && self.runs(id) && self.linked(leader, id)
    }

    /// What a watchdog looks at.
    fn look(&self, asked: &Asked, rule: Rule) -> Look {
        const ASK: i64 = 9;
        const WRITTEN: i64 = 5;
        let without = |condition| rule == Rule::Without(condition);
        let by = asked.by;
        let set = |set: Brokers| members(set).map(i32::from).collect::<BTreeSet<i32>>();
        let registered: BTreeMap<i32, i64> = members(self.registered).map(|id| (i32::from(id), 1)).collect();
        let mut vouchers = BTreeMap::new();
        for id in members(self.registered & !one(by)) {
            let heard = has(asked.vouched, id);
            if heard || without(Condition::Heard) {
                let reaches = if heard && !without(Condition::Reach) {
                    asked.reaches[usize::from(id - 1)]
                } else {
                    ALL & !one(by)
                };
                vouchers.insert(i32::from(id), Voucher { asked: ASK, registered: 1, reaches: set(reaches) });
            }
        }
        let mut partitions = Vec::new();
        for (index, partition) in self.partitions.iter().enumerate().filter(|(_, one)| has(one.isr, by)) {
            if without(Condition::EveryPartition) && partition.leader != by {
                continue;
            }
            partitions.push((index, partition));
        }
        let mut look = Look {
            broker: by.into(),
            reaches: set(self.reached(by)),
            // Time is what this world hasn't: an ISR that the leader may write meanwhile is one that it had in time.
            kept: set(ALL),
            asked: ASK,
            registered,
            controller: (self.controller != NOBODY).then_some(self.controller.into()),
            vouchers,
            partitions: Vec::new(),
        };
        // A registration's number is before an ISR's or after it; one more for each partition tells the two apart.
        for (index, partition) in partitions {
            let isr: Vec<i32> = set(partition.isr).into_iter().collect();
            let late = partition.isr & !one(by) & !partition.since != 0 && !without(Condition::InSyncSince);
            look.partitions.push(Partition {
                topic: String::new(),
                partition: index as i32,
                leader: if partition.leader == NOBODY { -1 } else { partition.leader.into() },
                isr,
                min_insync: MIN_INSYNC as usize,
                written: if late { 0 } else { WRITTEN },
            });
        }
        if without(Condition::ControllerHeard) {
            let rest =
                look.partitions.iter().flat_map(|one| one.isr.iter().copied()).find(|id| *id != look.broker);
            look.controller = rest;
        }
        look
    }

    /// All that [`look`](Self::look) depends on.
    fn key(&self, asked: &Asked, rule: Rule) -> u128 {
        let rule = match rule {
            Rule::Without(condition) => condition as u8 + 1,
            Rule::Present | Rule::Registered | Rule::RegisteredEverywhere => 0,
        };
        let mut key = 0;
        let mut put = |bits: u8| key = key << 5 | u128::from(bits);
        [rule, asked.by, self.controller, self.reached(asked.by), self.registered, asked.vouched]
            .into_iter()
            .for_each(&mut put);
        asked.reaches.into_iter().for_each(&mut put);
        for partition in &self.partitions {
            let late = partition.isr & !one(asked.by) & !partition.since != 0;
            [u8::from(late), partition.leader, partition.isr].into_iter().for_each(&mut put);
        }
        key
    }

    fn may_stop(&self, asked: &Asked, rule: Rule) -> bool {
        if rule.asks() {
            return may_disrupt(self.key(asked, rule), || self.look(asked, rule));
        }
        let everywhere = rule == Rule::RegisteredEverywhere;
        let counts = |it: &&Replicated| it.leader == asked.by || everywhere && has(it.isr, asked.by);
        let mut counted = self.partitions.iter().filter(counts);
        counted.all(|it| (it.isr & self.registered & !one(asked.by)).count_ones() >= MIN_INSYNC)
    }

    /// Whether a deed leaves each partition enough of its ISR. What was so since it was asked for counts: nothing can be
    /// known of the present moment.
    fn harm(&self, asked: &Asked) -> Option<Harm> {
        let stopped = asked.by;
        for partition in (0..PARTITIONS).filter(|index| has(asked.isr[*index], stopped)) {
            let rest = asked.isr[partition] & !one(stopped) & asked.lived & !asked.ours;
            if !asked.enough(rest) || asked.elect == 0 || asked.elect & !asked.lived != 0 {
                return Some(Harm::TooFew { partition, stopped });
            }
        }
        None
    }

    /// The same of a roll, which may stop who is needed by none that has enough.
    fn harm_by_roll(&self) -> Option<Harm> {
        let Rolling { look, whole, .. } = self.roll;
        let rest = |partition: usize| look.isr[partition] & !one(look.by) & look.lived & !look.ours;
        let partition = (0..PARTITIONS).find(|index| whole[*index] && !look.enough(rest(*index)))?;
        Some(Harm::TooFew { partition, stopped: look.by })
    }

    /// What Octad sees before a turn. A look asks the controller for settings too, which reads ZooKeeper for its answer: one
    /// that doesn't hear ZooKeeper doesn't give it, and the look has come to nothing.
    fn seen(&self, unheard: Brokers) -> Seen {
        let heard = self.up & !self.still & !unheard;
        let comes_to_nothing = has(heard & self.deaf, self.controller);
        Seen {
            heard: if comes_to_nothing { 0 } else { heard },
            // One that doesn't hear ZooKeeper goes by what it has decided.
            registered: self.registered | if self.controls() { 0 } else { self.known() },
            in_zookeeper: self.registered,
            controller: self.controller,
            partitions: self.partitions,
        }
    }

    /// A roll looks, and is about to stop a broker.
    fn roll_looks(&mut self, id: u8, unheard: Brokers, rolls: Rolls) -> bool {
        let claimed = if rolls.rule.claims() { id } else { NOBODY };
        if self.roll.look.by != claimed
            || self.roll.look.ready
            || !has(self.up, id)
            || !roll::stops(rolls.rule, id, has(self.still, id), &self.seen(unheard))
        {
            return false;
        }
        let isr = self.partitions.map(|one| if has(one.isr, id) { one.isr } else { 0 });
        let mut elect = self.elect(id);
        if self.controller == id {
            // Who doesn't live doesn't become it.
            elect &= self.up & !self.still & !self.deaf;
        }
        let counted = has(self.registered, id);
        let mut look = Asked { by: id, ready: true, counted, isr, elect, ..Asked::default() };
        look.lived = self.lives();
        look.whole = links_among(ALL) & if rolls.reach { !self.cut } else { Links::MAX };
        let whole = isr.map(|isr| has(isr, id) && look.enough(isr & look.lived));
        self.roll = Rolling { claimed: rolls.rule.claims(), look, whole };
        true
    }

    /// Takes a broker out of every ISR that a look rests on. One that wasn't registered at some moment since is taken out by
    /// the end of its session.
    fn oust(&mut self, look: &Asked) {
        for (partition, isr) in self.partitions.iter_mut().zip(look.isr) {
            if look.counted && has(isr, look.by) {
                partition.ousted |= one(look.by);
                partition.kept = isr & !one(look.by) & !look.failed;
            }
        }
        self.end_process(look.by);
    }

    fn strike(&mut self, fault: Fault, a: u8, b: u8) -> bool {
        let before = *self;
        match fault {
            Fault::Process if has(self.up, a) => self.end_process(a),
            Fault::Host if has(self.up, a) => {
                self.end_process(a);
                for index in (0..PARTITIONS).filter(|index| has(replicas(*index), a)) {
                    self.partitions[index].lack |= one(a);
                }
            }
            Fault::StandStill if self.runs(a) => {
                self.fail(a);
                self.still |= one(a);
            }
            Fault::Sleep => {
                if let Some(index) = self.ask_of(a) {
                    self.asked[index].asleep = true;
                }
            }
            Fault::Peers => self.cut |= links_between(one(a), ALL),
            Fault::Split => self.cut |= links_between(one(a) | one(b), ALL & !(one(a) | one(b))),
            Fault::Link => self.cut |= link(a, b),
            Fault::Zookeeper => self.deaf |= one(a),
            Fault::Session if has(self.registered, a) && self.runs(a) => self.end_session(a),
            _ => {}
        }
        *self != before
    }

    /// What one step makes of this world; `None` where it can't be.
    #[allow(clippy::too_many_lines, reason = "one arm for each step, all short")]
    fn after(
        mut self,
        step: Step,
        rule: Rule,
        patient: bool,
        rolls: Option<Rolls>,
    ) -> Option<Result<Self, Ended>> {
        let without = |condition| rule == Rule::Without(condition);
        let done = match step {
            Step::Fault(fault, a, b) => Ok(self.strike(fault, a, b)),
            Step::Goes(id) => {
                self.still &= !one(id);
                Ok(true)
            }
            Step::Wakes(id) => {
                let index = self.ask_of(id)?;
                if !self.asked[index].asleep {
                    return None;
                }
                if without(Condition::Clock) {
                    // What was so before is long ago.
                    let asked = &mut self.asked[index];
                    (asked.asleep, asked.lived, asked.whole) = (false, 0, 0);
                } else {
                    self.asked[index] = Asked::default();
                }
                Ok(true)
            }
            Step::Heal => {
                self.cut = 0;
                Ok(true)
            }
            Step::HealZookeeper(id) => {
                self.deaf &= !one(id);
                Ok(true)
            }
            Step::SessionEnds(id) => {
                let silent = has(!self.up | self.still | self.deaf, id);
                if !has(self.registered, id) || !silent {
                    return None;
                }
                self.end_session(id);
                Ok(true)
            }
            Step::Registers(id) => {
                if has(self.registered | self.deaf | self.still, id) {
                    return None;
                }
                self.up |= one(id);
                self.registered |= one(id);
                self.back |= one(id);
                for partition in &mut self.partitions {
                    partition.since &= !one(id);
                }
                // What was said of it was of its registration before.
                for asked in &mut self.asked {
                    asked.vouched &= !one(id);
                }
                Ok(true)
            }
            Step::Controller(id) => {
                let can = self.controller == NOBODY
                    && has(self.registered, id)
                    && self.runs(id)
                    && !has(self.deaf, id);
                if !can {
                    return None;
                }
                self.controller = id;
                Ok(true)
            }
            Step::Shrinks(index, id) => {
                let Replicated { leader, isr, .. } = self.partitions[index];
                if id == leader || !has(isr, id) || self.fetches(index, id) {
                    return None;
                }
                self.alter(index, 0, one(id))
            }
            Step::Expands(index, id) => {
                let isr = self.partitions[index].isr;
                // Nobody has a partition that isn't there.
                if isr == 0 || has(isr, id) || !self.fetches(index, id) {
                    return None;
                }
                // It has fetched all that the leader has.
                self.partitions[index].lack &= !one(id);
                self.alter(index, one(id), 0)
            }
            Step::Ask(id) => {
                let free = self.ask_of(NOBODY)?;
                let alone = rule.asks() || self.asked.iter().all(|asked| asked.by == NOBODY);
                let can = has(self.up & self.registered & !self.deaf, id)
                    && self.partitions.iter().any(|partition| partition.leader == id)
                    && self.is_apart(id)
                    && self.ask_of(id).is_none()
                    && alone;
                if !can {
                    return None;
                }
                self.asked[free] = Asked { by: id, counted: true, ..Asked::default() };
                // Who can vouch does it right away: what is said early is what is out of date later.
                if rule.asks() {
                    for by in 1..=BROKERS {
                        self.vouches(by, free);
                    }
                }
                Ok(patient || self.may_stop(&self.asked[free], rule))
            }
            Step::Vouch { by, to } => {
                let index = self.ask_of(to)?;
                Ok(rule.asks() && self.vouches(by, index))
            }
            Step::Look(id) => {
                let index = self.ask_of(id)?;
                let asked = self.asked[index];
                if asked.ready || asked.asleep || has(self.deaf, id) || !self.may_stop(&asked, rule) {
                    return None;
                }
                self.asked[index].ready = true;
                self.asked[index].isr = self.partitions.map(|one| if has(one.isr, id) { one.isr } else { 0 });
                self.asked[index].elect = self.elect(id);
                if self.controller == id {
                    // Who doesn't live doesn't become it.
                    self.asked[index].elect &= self.up & !self.still & !self.deaf;
                }
                Ok(true)
            }
            Step::GivesUp(id) => {
                let index = self.ask_of(id)?;
                if self.asked[index].asleep {
                    return None;
                }
                self.forget_ask(id);
                Ok(true)
            }
            Step::HandsOver(id) => {
                let asked = self.asked[self.ask_of(id)?];
                let can = rule.asks()
                    && self.controller == id
                    && !asked.ready
                    && !asked.asleep
                    && !has(self.deaf, id)
                    && asked.vouched & self.registered != 0
                    && !self.may_stop(&asked, rule);
                if !can {
                    return None;
                }
                self.controller = NOBODY;
                Ok(true)
            }
            Step::Stop(id) => {
                let asked = self.asked[self.ask_of(id)?];
                if !asked.ready || asked.asleep || !has(self.up, id) {
                    return None;
                }
                if let Some(harm) = self.harm(&asked) {
                    return Some(Err(Ended::Harm(harm)));
                }
                self.oust(&asked);
                self.roll.look.ours |= one(id);
                Ok(true)
            }
            Step::RollClaims(id) => {
                let free = self.roll.look.by == NOBODY && self.asked.iter().all(|asked| asked.by == NOBODY);
                self.roll = Rolling { claimed: true, ..Rolling::default() };
                self.roll.look.by = id;
                Ok(free && rolls.is_some_and(|rolls| rolls.rule.claims()) && has(self.up, id))
            }
            Step::RollLooks(id, unheard) => Ok(self.roll_looks(id, unheard, rolls?)),
            Step::RollStops(id) => {
                let look = self.roll.look;
                if look.by != id || !look.ready || !has(self.up, id) {
                    return None;
                }
                if let Some(harm) = self.harm_by_roll() {
                    return Some(Err(Ended::Harm(harm)));
                }
                self.roll = Rolling::default();
                self.oust(&look);
                self.asked.iter_mut().for_each(|asked| asked.ours |= one(id));
                Ok(true)
            }
            Step::RollGivesUp => {
                self.roll = Rolling::default();
                Ok(true)
            }
        };
        match done {
            Ok(false) => None,
            Ok(true) => Some(self.settled()),
            Err(ended) => Some(Err(ended)),
        }
    }

    /// All that may come next by itself.
    pub(crate) fn next(
        &self,
        rule: Rule,
        patient: bool,
        rolls: Option<Rolls>,
        mut each: impl FnMut(Step, Result<Self, Ended>),
    ) {
        let mut tried = |step| {
            if let Some(after) = self.after(step, rule, patient, rolls)
                && !matches!(&after, Ok(after) if after == self)
            {
                each(step, after);
            }
        };
        for id in 1..=BROKERS {
            for step in [
                Step::Goes(id),
                Step::HealZookeeper(id),
                Step::SessionEnds(id),
                Step::Registers(id),
                Step::Ask(id),
            ] {
                tried(step);
            }
            if self.controller == NOBODY {
                tried(Step::Controller(id));
            }
        }
        for id in self.asked.map(|asked| asked.by).into_iter().filter(|by| *by != NOBODY) {
            for step in
                [Step::Wakes(id), Step::Look(id), Step::GivesUp(id), Step::HandsOver(id), Step::Stop(id)]
            {
                tried(step);
            }
            for by in 1..=BROKERS {
                tried(Step::Vouch { by, to: id });
            }
        }
        tried(Step::Heal);
        if rolls.is_some() {
            let unheard = [0, ALL].into_iter().chain((1..=BROKERS).map(one));
            for id in (1..=BROKERS).filter(|id| [NOBODY, *id].contains(&self.roll.look.by)) {
                tried(Step::RollClaims(id));
                unheard.clone().for_each(|unheard| tried(Step::RollLooks(id, unheard)));
                tried(Step::RollStops(id));
            }
            tried(Step::RollGivesUp);
        }
        for (index, replicas) in REPLICAS.iter().enumerate() {
            for id in replicas {
                for step in [Step::Shrinks(index, *id), Step::Expands(index, *id)] {
                    tried(step);
                }
            }
        }
    }

    /// All that one more fault may make of it.
    pub(crate) fn struck_by(&self, faults: &[Fault], mut each: impl FnMut(Step, Result<Self, Ended>)) {
        for fault in faults {
            for a in 1..=BROKERS {
                let others = match fault {
                    Fault::Split | Fault::Link => a + 1..=BROKERS,
                    _ => NOBODY..=NOBODY,
                };
                for b in others {
                    let mut after = *self;
                    if after.strike(*fault, a, b) {
                        let after = after.settled();
                        if !matches!(&after, Ok(after) if after == self) {
                            each(Step::Fault(*fault, a, b), after);
                        }
                    }
                }
            }
        }
    }
}

/// The rule itself, which is asked the same again and again.
fn may_disrupt(key: u128, look: impl FnOnce() -> Look) -> bool {
    thread_local!(static KNOWN: RefCell<HashMap<u128, bool, BuildHasherDefault<Quick>>> = RefCell::default());
    KNOWN.with_borrow_mut(|known| *known.entry(key).or_insert_with(|| look().may_disrupt().is_ok()))
}
