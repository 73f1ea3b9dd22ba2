//! A world small enough to be searched whole: brokers with their hosts, watchdogs and links, what ZooKeeper holds of them,
//! a controller, and partitions of three replicas of which two must have a record.
//!
//! Nothing in it has a time, so that everything may be as late as it likes, and a session may last however long.
//!
//! What is taken for given of Kafka: the controller works off what became of registrations in their order, those that
//! came back first, before it elects or writes an ISR; a new controller too knows who came back. (It doesn't, where a
//! broker's host is lost and back while there is no controller at all. Then a replica that lacks records counts as in
//! sync, and any crash of its leader loses them, whoever brings it about.)

use octad::kafka::{Look, Partition, Voucher, is_apart};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(crate) const BROKERS: u8 = 5;
pub(crate) const PARTITIONS: usize = 2;
const REPLICAS: [[u8; 3]; PARTITIONS] = [[3, 2, 4], [2, 3, 4]];
const MIN_INSYNC: u32 = 2;
const NOBODY: u8 = 0;
/// So many watchdogs ask at once at most.
const ASKS: usize = 2;

/// A set of brokers, whose ids are 1 to 5.
pub(crate) type Brokers = u8;

pub(crate) fn one(id: u8) -> Brokers {
    1 << (id - 1)
}

pub(crate) fn has(set: Brokers, id: u8) -> bool {
    id != NOBODY && set & one(id) != 0
}

pub(crate) fn members(set: Brokers) -> impl Iterator<Item = u8> {
    (1..=BROKERS).filter(move |id| has(set, *id))
}

const ALL: Brokers = (1 << BROKERS) - 1;

fn replicas(partition: usize) -> Brokers {
    REPLICAS[partition].iter().fold(0, |set, id| set | one(*id))
}

/// A link between two brokers, as a bit.
fn link(a: u8, b: u8) -> u16 {
    let (low, high) = (a.min(b), a.max(b));
    1 << ((high - 1) * (high - 2) / 2 + low - 1)
}

fn links_between(some: Brokers, others: Brokers) -> u16 {
    let pairs = members(some).flat_map(|a| members(others).map(move |b| (a, b)));
    pairs.filter(|(a, b)| a != b).fold(0, |set, (a, b)| set | link(a, b))
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
    Vouch { by: u8, to: u8 },
    Look(u8),
    GivesUp(u8),
    HandsOver(u8),
    Stop(u8),
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Asked {
    by: u8,
    vouched: Brokers,
    reaches: [Brokers; BROKERS as usize],
    /// The answer was yes.
    ready: bool,
    /// It stands still.
    asleep: bool,
    /// What has been so at some moment since: brokers that lived and had all records, links that were whole.
    lived: Brokers,
    whole: u16,
    /// Have failed since.
    failed: Brokers,
    /// The ISRs that the answer rests on.
    isr: [Brokers; PARTITIONS],
    /// Who would have had others lead, when it was given.
    elect: Brokers,
}

/// The world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// Have a process.
    up: Brokers,
    /// Whose process stands still.
    still: Brokers,
    registered: Brokers,
    /// Have registered anew, and the controller has not dealt with it.
    back: Brokers,
    cut: u16,
    /// Are cut off from ZooKeeper.
    deaf: Brokers,
    controller: u8,
    pub(crate) partitions: [Replicated; PARTITIONS],
    asked: [Asked; ASKS],
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

    /// The same world with other names: broker 1 and 5 hold nothing, 2 and 3 differ in which partition they prefer.
    pub(crate) fn renamed(&self, ends: bool, middle: bool) -> Self {
        if !ends && !middle {
            return *self;
        }
        let name = |id: u8| match id {
            1 | 5 if ends => 6 - id,
            2 | 3 if middle => 5 - id,
            id => id,
        };
        let set = |set: Brokers| {
            let mut set = set;
            if ends {
                set = set & 0b0_1110 | (set & 1) << 4 | set >> 4 & 1;
            }
            if middle {
                set = set & 0b1_1001 | (set & 0b10) << 1 | (set & 0b100) >> 1;
            }
            set
        };
        let links = |links: u16| {
            let pairs = (1..=BROKERS).flat_map(|a| (a + 1..=BROKERS).map(move |b| (a, b)));
            pairs
                .filter(|(a, b)| links & link(*a, *b) != 0)
                .fold(0, |all, (a, b)| all | link(name(a), name(b)))
        };
        let partition = |index: usize| {
            let Replicated { leader, isr, since, lack, ousted, kept } =
                self.partitions[index ^ usize::from(middle)];
            let [isr, since, lack, ousted, kept] = [isr, since, lack, ousted, kept].map(set);
            Replicated { leader: name(leader), isr, since, lack, ousted, kept }
        };
        let asked = |asked: Asked| {
            if asked.by == NOBODY {
                return asked;
            }
            let Asked { by, vouched, reaches, ready, asleep, lived, whole, failed, isr, elect } = asked;
            let reach = |index: usize| set(reaches[usize::from(name(index as u8 + 1) - 1)]);
            Asked {
                by: name(by),
                vouched: set(vouched),
                reaches: std::array::from_fn(reach),
                ready,
                asleep,
                lived: set(lived),
                whole: links(whole),
                failed: set(failed),
                isr: std::array::from_fn(|index| set(isr[index ^ usize::from(middle)])),
                elect: set(elect),
            }
        };
        let Self { up, still, registered, back, cut, deaf, controller, .. } = *self;
        let [up, still, registered, back, deaf] = [up, still, registered, back, deaf].map(set);
        let mut asked = self.asked.map(asked);
        asked.sort_by_key(|asked| asked.by);
        let partitions = std::array::from_fn(partition);
        Self {
            up,
            still,
            registered,
            back,
            cut: links(cut),
            deaf,
            controller: name(controller),
            partitions,
            asked,
        }
    }

    fn runs(&self, id: u8) -> bool {
        has(self.up & !self.still, id)
    }

    fn linked(&self, a: u8, b: u8) -> bool {
        a == b || self.cut & link(a, b) == 0
    }

    /// Whose hosts a broker's own host reaches: a host is there whatever its process does.
    fn reached(&self, from: u8) -> Brokers {
        members(self.registered & self.up).filter(|to| *to != from && self.linked(from, *to)).map(one).sum()
    }

    fn is_apart(&self, id: u8) -> bool {
        let others = self.registered & !one(id);
        is_apart(others.count_ones() as usize, (self.reached(id) & others).count_ones() as usize)
    }

    /// The controller works and is heard by ZooKeeper.
    fn controls(&self) -> bool {
        self.controller != NOBODY && self.runs(self.controller) && !has(self.deaf, self.controller)
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

    /// Brings what has been seen since each was asked up to date.
    fn noted(mut self) -> Self {
        let lacks = self.partitions.iter().fold(0, |all, one| all | (one.lack & one.isr));
        let lives = self.up & !self.still & self.registered & !lacks & !self.back;
        let whole = links_between(ALL, ALL) & !self.cut;
        for asked in self.asked.iter_mut().filter(|asked| asked.by != NOBODY) {
            asked.lived |= lives;
            asked.whole |= whole;
            // What makes no difference any more is seen as the same.
            if asked.ready {
                let needed = asked.elect | asked.isr.iter().fold(0, |all, isr| all | isr) & !one(asked.by);
                asked.reaches = Default::default();
                asked.lived &= needed;
                asked.failed &= needed;
                asked.whole &= links_between(needed, needed);
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
        let known = self.known();
        self.back &= known;
        // In an order of its own, so that the same world is seen as the same.
        self.asked.sort_by_key(|asked| asked.by);
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
        for asked in &mut self.asked {
            asked.failed |= one(id);
        }
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
        for asked in &mut self.asked {
            asked.failed |= left;
        }
        let elected = leader != partition.leader;
        partition.leader = leader;
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
        let was = self.partitions;
        let back = self.back;
        self.back = 0;
        let away = self.known() & !self.registered;
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
            return spares(self.key(asked, rule), || self.look(asked, rule));
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
        let linked = |a: u8, b: u8| a == b || asked.whole & link(a, b) != 0;
        for partition in (0..PARTITIONS).filter(|index| has(asked.isr[*index], stopped)) {
            let rest = asked.isr[partition] & !one(stopped) & asked.lived;
            let enough = (0..=ALL)
                .filter(|some| some & !rest == 0 && some.count_ones() >= MIN_INSYNC)
                .any(|some| members(some).all(|a| members(some | asked.elect).all(|b| linked(a, b))));
            if !enough || asked.elect == 0 || asked.elect & !asked.lived != 0 {
                return Some(Harm::TooFew { partition, stopped });
            }
        }
        None
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
    fn after(mut self, step: Step, rule: Rule, patient: bool) -> Option<Result<Self, Ended>> {
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
                self.asked[free] = Asked { by: id, ..Asked::default() };
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
                for (partition, isr) in self.partitions.iter_mut().zip(asked.isr) {
                    if has(isr, id) {
                        partition.ousted |= one(id);
                        partition.kept = isr & !one(id) & !asked.failed;
                    }
                }
                self.end_process(id);
                Ok(true)
            }
        };
        match done {
            Ok(false) => None,
            Ok(true) => Some(self.settled()),
            Err(ended) => Some(Err(ended)),
        }
    }

    /// All that may come next, and whether it is a fault.
    pub(crate) fn next(
        &self,
        rule: Rule,
        patient: bool,
        faults: &[Fault],
        mut each: impl FnMut(Step, bool, Result<Self, Ended>),
    ) {
        let mut tried = |step, fault| {
            if let Some(after) = self.after(step, rule, patient)
                && !matches!(&after, Ok(after) if after == self)
            {
                each(step, fault, after);
            }
        };
        for id in 1..=BROKERS {
            for step in [
                Step::Goes(id),
                Step::Wakes(id),
                Step::HealZookeeper(id),
                Step::SessionEnds(id),
                Step::Registers(id),
                Step::Controller(id),
                Step::Ask(id),
                Step::Look(id),
                Step::GivesUp(id),
                Step::HandsOver(id),
                Step::Stop(id),
            ] {
                tried(step, false);
            }
            for to in 1..=BROKERS {
                tried(Step::Vouch { by: id, to }, false);
            }
        }
        tried(Step::Heal, false);
        for (index, replicas) in REPLICAS.iter().enumerate() {
            for id in replicas {
                for step in [Step::Shrinks(index, *id), Step::Expands(index, *id)] {
                    tried(step, false);
                }
            }
        }
        for fault in faults {
            for a in 1..=BROKERS {
                match fault {
                    Fault::Split | Fault::Link => {
                        for b in a + 1..=BROKERS {
                            tried(Step::Fault(*fault, a, b), true);
                        }
                    }
                    _ => tried(Step::Fault(*fault, a, NOBODY), true),
                }
            }
        }
    }
}

fn one_or_none(id: u8) -> Brokers {
    if id == NOBODY { 0 } else { one(id) }
}

/// The rule itself, which is asked the same again and again.
fn spares(key: u128, look: impl FnOnce() -> Look) -> bool {
    thread_local!(static KNOWN: RefCell<HashMap<u128, bool>> = RefCell::default());
    KNOWN.with_borrow_mut(|known| *known.entry(key).or_insert_with(|| look().spares().is_ok()))
}
