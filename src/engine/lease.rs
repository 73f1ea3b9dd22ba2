//! One Octad at a time for hosts that several can reach: who has a lease on most of them holds the stack. The lock of the
//! stack's own directory keeps only those out who work in that.
//!
//! Whoever wants them looks at all, takes a fencing token above every one that it saw, and asks for it. Two can't have most
//! hosts at once, and each has a higher token than whoever had them before. Hosts that most can't be had of are given back.

use super::{Context, Holder, State};
use crate::clock::Until;
use crate::host::{Host, HostError, LEASE, Lease, LeaseRecord, LeaseRequest, MARGIN};
use crate::model::{HostInputs, Key};
use crate::resource::{KindError, Surroundings as _};
use crate::stack::ValidStack;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// How often a lease is renewed.
const RENEWAL: Duration = Duration::from_secs(10);
/// How long hosts may take to answer, once most have.
const GRACE: Duration = Duration::from_secs(2);
/// How long a round may take in all.
const ROUND: Duration = Duration::from_secs(40);

/// Why the hosts of a stack can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another Octad has them.
    #[error("the stack's hosts are held{}", super::lock::held_by(.holder.as_ref()))]
    Held {
        /// Who, where the hosts tell.
        holder: Option<Holder>,
        /// On which hosts.
        hosts: Vec<String>,
        /// How long until that ends by itself, where it isn't renewed.
        left: Duration,
    },
    /// What another Octad has begun on these hosts is not at its end.
    #[error("what another octad has asked for is under way on {}", hosts.join(", "))]
    Busy {
        /// The hosts.
        hosts: Vec<String>,
    },
    /// Most hosts don't answer.
    #[error("only {answered} of {of} hosts answer, and whoever changes any of them must have most of them")]
    NoMajority {
        /// How many do.
        answered: usize,
        /// Of how many.
        of: usize,
        /// Why the first of the others doesn't.
        source: Option<HostError>,
    },
    /// Another asked for them at the same time.
    #[error("another octad asks for the stack's hosts at the same time")]
    Contended,
    /// This one had them, and was away from most for too long.
    #[error("the stack's hosts are not held any more")]
    Lost,
    /// Not all hosts answer, where they have to.
    #[error("not all of the stack's hosts answer: {answered} of {of} do")]
    NotAll {
        /// How many do.
        answered: usize,
        /// Of how many.
        of: usize,
        /// Why one of the others doesn't.
        source: Option<HostError>,
    },
    /// No host has such a lease on record.
    #[error("no host that answers is held by the lease {id}")]
    NoSuchLease {
        /// Which.
        id: String,
    },
    /// A host can't be asked at all.
    #[error(transparent)]
    Kind(#[from] KindError),
}

/// The hosts that vote: most of those that are recorded and most of those that are declared must agree.
#[derive(Debug, Clone, Default)]
struct Voters {
    recorded: BTreeSet<Key>,
    declared: BTreeSet<Key>,
}

impl Voters {
    fn are_most(&self, hosts: &BTreeSet<Key>) -> bool {
        [&self.recorded, &self.declared].iter().all(|all| {
            let agree = all.intersection(hosts).count();
            all.is_empty() || agree * 2 > all.len()
        })
    }

    /// Those of them that are among these.
    fn of(self, hosts: &BTreeSet<Key>) -> Self {
        let of = |all: BTreeSet<Key>| all.intersection(hosts).cloned().collect();
        Self { recorded: of(self.recorded), declared: of(self.declared) }
    }

    fn count(&self) -> usize {
        self.recorded.union(&self.declared).count()
    }
}

/// The fencing token to ask for, by what hosts have on record; who has them, where somebody does. Pure.
fn bid(records: &BTreeMap<Key, LeaseRecord>, id: &str, over: Option<&str>) -> Result<u64, LeaseError> {
    let held = |(_, record): &(&Key, &LeaseRecord)| record.is_held_from(id, over);
    if let Some((_, first)) = records.iter().filter(held).max_by_key(|(_, record)| record.token) {
        let by_it = records.iter().filter(held).filter(|(_, record)| record.id == first.id);
        return Err(LeaseError::Held {
            holder: serde_json::from_str(&first.holder).ok(),
            left: by_it.clone().map(|(_, record)| record.left).max().unwrap_or_default(),
            hosts: by_it.map(|(key, _)| key.name.clone()).collect(),
        });
    }
    let busy: Vec<String> =
        records.iter().filter(|(_, record)| record.is_busy).map(|(key, _)| key.name.clone()).collect();
    if !busy.is_empty() {
        return Err(LeaseError::Busy { hosts: busy });
    }
    Ok(records.values().map(|record| record.token).max().unwrap_or(0) + 1)
}

/// Hosts that gave the lease. Pure.
fn given(records: &BTreeMap<Key, LeaseRecord>, id: &str, token: u64) -> BTreeSet<Key> {
    let ours = |record: &LeaseRecord| record.id == id && record.token == token && !record.left.is_zero();
    records.iter().filter(|(_, record)| ours(record)).map(|(key, _)| key.clone()).collect()
}

type Hosts = BTreeMap<Key, Arc<dyn Host>>;

/// The hosts of a stack, held.
#[derive(Debug)]
pub struct Leased {
    /// Who had them before and never gave them back.
    pub abandoned: Option<Holder>,
    voting: Voting,
    request: LeaseRequest,
    lease: Arc<Lease>,
    renewing: JoinHandle<()>,
}

/// Hosts that vote, and how they are asked.
#[derive(Clone)]
struct Voting {
    voters: Voters,
    hosts: Hosts,
}

impl std::fmt::Debug for Voting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.voters.fmt(f)
    }
}

impl Voting {
    /// All declared and recorded hosts that keep leases.
    fn of(context: &Context, stack: &ValidStack, state: &State) -> Result<Self, KindError> {
        let (mut voters, mut hosts) = (Voters::default(), Hosts::new());
        let all = stack.resources.keys().map(|key| (key, false));
        for (key, recorded) in all.chain(state.resources.keys().map(|key| (key, true))) {
            if key.kind != HostInputs::KIND {
                continue;
            }
            let host = context.host(key)?;
            if host.keeps_leases() {
                let voters = if recorded { &mut voters.recorded } else { &mut voters.declared };
                voters.insert(key.clone());
                hosts.insert(key.clone(), host);
            }
        }
        Ok(Self { voters, hosts })
    }

    /// What hosts answer, and why others don't. It is over when all have answered, or most of them a while ago.
    async fn ask(&self, request: &LeaseRequest) -> (BTreeMap<Key, LeaseRecord>, Option<HostError>) {
        let asked = self.hosts.iter().map(|(key, host)| async move { (key, host.lease(request).await) });
        let mut asked: FuturesUnordered<_> = asked.collect();
        let (mut records, mut failed, mut ends) = (BTreeMap::new(), None, Instant::now() + ROUND);
        let mut answered = BTreeSet::new();
        while let Ok(Some((key, answer))) = timeout_at(ends, asked.next()).await {
            match answer {
                Ok(record) => {
                    records.insert(key.clone(), record);
                    answered.insert(key.clone());
                }
                Err(error) => failed = failed.or(Some(error)),
            }
            // What one that is gone has asked for may be on its way to those that haven't answered.
            if self.voters.are_most(&answered) && request.over.is_none() {
                ends = ends.min(Instant::now() + GRACE);
            }
        }
        (records, failed)
    }

    /// Asks for the lease of a token above all that hosts have seen.
    async fn take(
        &mut self,
        request: &mut LeaseRequest,
        minority: bool,
    ) -> Result<(Lease, Option<Holder>), LeaseError> {
        let looking = LeaseRequest { token: 0, ..request.clone() };
        let (mut records, failed) = self.ask(&looking).await;
        let all = self.voters.count();
        if minority {
            // What hangs on a host for good is as good as one that is away: nothing is done there.
            records.retain(|_, record| !record.is_busy);
            self.voters = self.voters.clone().of(&records.keys().cloned().collect());
        }
        let answered: BTreeSet<Key> = records.keys().cloned().collect();
        let no_majority =
            |answered: usize, source| LeaseError::NoMajority { answered, of: self.voters.count(), source };
        if !self.voters.are_most(&answered) || answered.is_empty() {
            return Err(no_majority(answered.len(), failed));
        }
        // What one that is gone has asked for may still be on its way to those that don't answer.
        if answered.len() < all {
            request.over = None;
        }
        request.token = bid(&records, &request.id, request.over.as_deref())?;
        let begun = Until::within(LEASE.saturating_sub(MARGIN));
        let (answers, failed) = self.ask(request).await;
        let given = given(&answers, &request.id, request.token);
        // Another that asked with the same token at the same time would refuse what is asked there under this one.
        if given.len() < answers.len() || !self.voters.are_most(&given) {
            self.give_back(request).await;
            return Err(match given.len() < answers.len() {
                true => LeaseError::Contended,
                false => no_majority(given.len(), failed),
            });
        }
        let had_over = records.values().any(|record| request.over.as_ref() == Some(&record.id));
        if had_over && given.len() < all {
            self.give_back(request).await;
            return Err(LeaseError::NotAll { answered: given.len(), of: all, source: failed });
        }
        let last = records.values().max_by_key(|record| record.token);
        let abandoned = last.and_then(|record| serde_json::from_str(&record.holder).ok());
        Ok((Lease::new(request, begun), abandoned))
    }

    async fn give_back(&self, request: &LeaseRequest) {
        self.ask(&LeaseRequest { lease: Duration::ZERO, ..request.clone() }).await;
    }

    /// Renews a lease for as long as most hosts agree to that.
    async fn renew(self, lease: Arc<Lease>, request: LeaseRequest) {
        while !lease.until().has_passed() {
            sleep(RENEWAL).await;
            let until = Until::within(LEASE.saturating_sub(MARGIN));
            let (answers, _) = self.ask(&request).await;
            if self.voters.are_most(&given(&answers, &request.id, request.token)) {
                lease.renew(until);
            }
        }
    }
}

/// Who takes a stack's hosts.
#[derive(Debug, Clone, Copy)]
pub struct Claimant<'a> {
    /// The holder of the stack's lock.
    pub holder: &'a Holder,
    /// The one before, who is known to be gone.
    pub over: Option<&'a Holder>,
    /// Somebody consented to having those only that answer, although most don't.
    pub minority: bool,
}

/// Takes the hosts of a stack that keep leases. Nothing where none does.
///
/// # Errors
/// [`LeaseError`], where another Octad has them or most don't answer.
pub async fn lease(
    context: &Context,
    stack: &ValidStack,
    state: &State,
    claimant: Claimant<'_>,
) -> Result<Option<Leased>, LeaseError> {
    let Claimant { holder, over, minority } = claimant;
    let mut voting = Voting::of(context, stack, state)?;
    if voting.hosts.is_empty() {
        return Ok(None);
    }
    let mut request = LeaseRequest {
        id: holder.id.clone(),
        token: 0,
        lease: LEASE,
        over: over.map(|gone| gone.id.clone()),
        holder: serde_json::to_string(holder).expect("a holder is plain text"),
    };
    let (lease, abandoned) = voting.take(&mut request, minority).await?;
    let lease = Arc::new(lease);
    context.registry().backends().for_each(|backend| backend.work_under(&lease));
    let renewing = tokio::spawn(voting.clone().renew(lease.clone(), request.clone()));
    Ok(Some(Leased { abandoned, voting, request, lease, renewing }))
}

/// Takes a stack's hosts away from the holder of this lease, who must be gone: should it live after all, no host does what
/// it asks for any more. Returns who that was, as hosts have it.
///
/// # Errors
/// [`LeaseError`], where no host has this lease on record or most don't answer; where something that it asked for is
/// under way.
pub async fn take_away(
    context: &Context,
    stack: &ValidStack,
    state: &State,
    holder: &Holder,
    id: &str,
) -> Result<Option<Holder>, LeaseError> {
    let voting = Voting::of(context, stack, state)?;
    let looking = LeaseRequest {
        id: holder.id.clone(),
        token: 0,
        lease: Duration::ZERO,
        over: Some(id.to_owned()),
        holder: serde_json::to_string(holder).expect("a holder is plain text"),
    };
    let (records, source) = voting.ask(&looking).await;
    let of = voting.voters.count();
    let Some(found) = records.values().find(|record| record.id == id && !record.left.is_zero()) else {
        return Err(LeaseError::NoSuchLease { id: id.to_owned() });
    };
    // What it asks for on one that isn't told would be done there until its lease has passed.
    if records.len() < of {
        return Err(LeaseError::NotAll { answered: records.len(), of, source });
    }
    let token = bid(&records, &looking.id, Some(id))?;
    let (answers, source) = voting.ask(&LeaseRequest { token, ..looking.clone() }).await;
    let taken = |record: &LeaseRecord| record.id == looking.id && record.token == token;
    let taken: BTreeSet<Key> =
        answers.iter().filter(|(_, record)| taken(record)).map(|(key, _)| key.clone()).collect();
    match taken.len() == of {
        true => Ok(serde_json::from_str(&found.holder).ok()),
        false => Err(LeaseError::NotAll { answered: taken.len(), of, source }),
    }
}

impl Leased {
    /// Whether nobody else can have them yet.
    pub fn holds(&self) -> bool {
        !self.lease.until().has_passed()
    }

    /// Gives them back: the next one has them at once.
    pub async fn give_back(self) {
        self.renewing.abort();
        self.voting.give_back(&self.request).await;
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;

    const SECOND: u64 = 1000;

    /// A host in milliseconds of one time for all, with the rules that real ones have.
    #[derive(Debug, Clone, Default)]
    struct Machine {
        record: LeaseRecord,
        /// When the record was as it is.
        at: u64,
        booted: u64,
    }

    impl Machine {
        fn record(&self, now: u64) -> LeaseRecord {
            let passed = Duration::from_millis(now - self.at);
            LeaseRecord { left: self.record.left.saturating_sub(passed), ..self.record.clone() }
        }

        fn note(&mut self, now: u64, record: LeaseRecord) {
            (self.record, self.at) = (record, now);
        }

        /// How long it was off it doesn't know, so that what it had on record begins anew.
        fn boot(&mut self, now: u64) {
            let left = if self.record.left.is_zero() { Duration::ZERO } else { LEASE };
            self.note(now, LeaseRecord { left, ..self.record.clone() });
            self.booted = now;
        }
    }

    /// What is on its way to a host.
    #[derive(Debug, Clone)]
    enum Message {
        Request { to: usize, by: usize, round: u64, request: LeaseRequest },
        Deed { to: usize, id: String, token: u64, booted: u64, before: u64 },
    }

    #[derive(Debug, Clone, Default)]
    struct Deployer {
        /// Which of its processes this is.
        id: String,
        over: Option<String>,
        token: u64,
        round: u64,
        begun: u64,
        answers: BTreeMap<Key, LeaseRecord>,
        looked: Option<BTreeMap<Key, LeaseRecord>>,
        until: Option<u64>,
    }

    #[derive(Debug, Clone)]
    enum Act {
        Pass(u64),
        /// A message arrives, of whatever age, or is lost.
        Deliver(usize),
        Lose(usize),
        /// The next step of a deployer, with what has been answered until then.
        Step(usize),
        /// What holds the lease asks something of a host, of which it read the clock some time ago.
        Deed(usize, usize, u64),
        /// It is killed, and begun again where it was: what it asked for is on its way still.
        Kill(usize),
        Boot(usize),
    }

    struct World {
        now: u64,
        /// How long deployers take a lease to hold.
        holds: u64,
        machines: Vec<Machine>,
        deployers: Vec<Deployer>,
        messages: Vec<Message>,
        processes: u64,
        /// Each deed that was done: its token, and whose.
        done: Vec<(u64, String)>,
    }

    fn key(number: usize) -> Key {
        Key::new(HostInputs::KIND, &format!("m-{number}"))
    }

    impl World {
        fn new(machines: usize, deployers: usize) -> Self {
            let holds = u64::try_from((LEASE - MARGIN).as_millis()).unwrap();
            let mut world = Self {
                now: 100 * SECOND,
                holds,
                machines: vec![Machine::default(); machines],
                deployers: vec![Deployer::default(); deployers],
                messages: Vec::new(),
                processes: 0,
                done: Vec::new(),
            };
            (0..deployers).for_each(|number| world.begin(number, None));
            world
        }

        fn voters(&self) -> Voters {
            Voters { recorded: BTreeSet::new(), declared: (0..self.machines.len()).map(key).collect() }
        }

        fn begin(&mut self, number: usize, over: Option<String>) {
            self.processes += 1;
            self.deployers[number] =
                Deployer { id: format!("p{}", self.processes), over, ..Deployer::default() };
        }

        fn ask(&mut self, by: usize, token: u64, lease: Duration) {
            let deployer = &mut self.deployers[by];
            deployer.round += 1;
            deployer.begun = self.now;
            deployer.answers.clear();
            let request = LeaseRequest {
                id: deployer.id.clone(),
                token,
                lease,
                over: deployer.over.clone(),
                holder: deployer.id.clone(),
            };
            let round = deployer.round;
            for to in 0..self.machines.len() {
                self.messages.push(Message::Request { to, by, round, request: request.clone() });
            }
        }

        /// As `Voting::take` and `Voting::renew` do.
        fn step(&mut self, number: usize) {
            let voters = self.voters();
            let deployer = self.deployers[number].clone();
            let answered: BTreeSet<Key> = deployer.answers.keys().cloned().collect();
            if let Some(until) = deployer.until {
                let given = given(&deployer.answers, &deployer.id, deployer.token);
                if self.now > until {
                    return self.begin(number, None);
                }
                if voters.are_most(&given) {
                    self.deployers[number].until = Some(deployer.begun + self.holds);
                }
                return self.ask(number, deployer.token, LEASE);
            }
            if deployer.round == 0 {
                return self.ask(number, 0, LEASE);
            }
            let Some(looked) = &deployer.looked else {
                if !voters.are_most(&answered) {
                    return self.ask(number, 0, LEASE);
                }
                let over = deployer.over.clone().filter(|_| answered.len() == voters.count());
                match bid(&deployer.answers, &deployer.id, over.as_deref()) {
                    Err(_) => self.ask(number, 0, LEASE),
                    Ok(token) => {
                        let changed = &mut self.deployers[number];
                        (changed.token, changed.over) = (token, over);
                        changed.looked = Some(deployer.answers);
                        self.ask(number, token, LEASE);
                    }
                }
                return;
            };
            let given = given(&deployer.answers, &deployer.id, deployer.token);
            let had_over = looked.values().any(|record| deployer.over.as_ref() == Some(&record.id));
            let refused = given.len() < answered.len();
            if !refused && voters.are_most(&given) && (!had_over || given.len() == voters.count()) {
                self.deployers[number].until = Some(deployer.begun + self.holds);
            } else {
                self.ask(number, deployer.token, Duration::ZERO);
                self.begin(number, deployer.over);
            }
        }

        fn deliver(&mut self, message: Message) {
            match message {
                Message::Request { to, by, round, request } => {
                    let record = self.machines[to].record(self.now).after(&request);
                    self.machines[to].note(self.now, record.clone());
                    let deployer = &mut self.deployers[by];
                    if deployer.id == request.id && deployer.round == round {
                        deployer.answers.insert(key(to), record);
                    }
                }
                Message::Deed { to, id, token, booted, before } => {
                    let machine = &mut self.machines[to];
                    if machine.booted != booted || self.now - booted > before {
                        return;
                    }
                    let left = Duration::from_millis(before - (self.now - booted));
                    let record = machine.record(self.now);
                    // One that begins at the very last moment is asked for no longer.
                    if let Some(record) = record.acting(&id, token, left, &id) {
                        machine.note(self.now, record);
                        self.done.push((token, id));
                    }
                }
            }
        }

        fn act(&mut self, act: &Act) {
            match *act {
                Act::Pass(millis) => self.now += millis,
                Act::Deliver(which) if !self.messages.is_empty() => {
                    let message = self.messages.swap_remove(which % self.messages.len());
                    self.deliver(message);
                }
                Act::Lose(which) if !self.messages.is_empty() => {
                    self.messages.swap_remove(which % self.messages.len());
                }
                Act::Step(which) => self.step(which % self.deployers.len()),
                Act::Deed(by, to, ago) => {
                    let deployer = &self.deployers[by % self.deployers.len()];
                    let to = to % self.machines.len();
                    let machine = &self.machines[to];
                    let read = (self.now - machine.booted).saturating_sub(ago);
                    if let Some(until) = deployer.until.filter(|until| *until > self.now) {
                        let (id, token) = (deployer.id.clone(), deployer.token);
                        let before = read + (until - self.now);
                        let booted = machine.booted;
                        self.messages.push(Message::Deed { to, id, token, booted, before });
                    }
                }
                Act::Kill(which) => {
                    let which = which % self.deployers.len();
                    let gone = self.deployers[which].id.clone();
                    self.begin(which, Some(gone));
                }
                Act::Boot(which) => {
                    let (now, which) = (self.now, which % self.machines.len());
                    self.machines[which].boot(now);
                    // What was on its way to it went with its connections.
                    self.messages.retain(|message| match message {
                        Message::Request { to, .. } | Message::Deed { to, .. } => *to != which,
                    });
                }
                Act::Deliver(_) | Act::Lose(_) => {}
            }
        }

        /// Whoever acts once comes before all who act with a higher token, whatever happens to the messages.
        fn is_fenced(&self) -> bool {
            self.done.windows(2).all(|two| two[0].0 < two[1].0 || two[0] == two[1])
        }
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            2 => (0..20 * SECOND).prop_map(Act::Pass),
            // Also a laptop sleeps.
            1 => (40 * SECOND..80 * SECOND).prop_map(Act::Pass),
            20 => any::<usize>().prop_map(Act::Deliver),
            2 => any::<usize>().prop_map(Act::Lose),
            4 => any::<usize>().prop_map(Act::Step),
            4 => (any::<usize>(), any::<usize>(), 0..3 * SECOND)
                .prop_map(|(by, to, ago)| Act::Deed(by, to, ago)),
            1 => any::<usize>().prop_map(Act::Kill),
            1 => any::<usize>().prop_map(Act::Boot),
        ];
        proptest::collection::vec(act, 0..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn nobody_acts_once_another_has_come(machines in 1usize..=5, deployers in 2usize..=3, acts in acts()) {
            let mut world = World::new(machines, deployers);
            for act in &acts {
                world.act(act);
                prop_assert!(world.is_fenced(), "{:?}", world.done);
            }
        }
    }

    /// Whether a world of several thousand, which are the same each time, comes to be so.
    fn is_found(world: impl Fn() -> World, so: impl Fn(&World) -> bool) -> bool {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        (0..4000).any(|_| {
            let mut world = world();
            let acts = acts().new_tree(&mut runner).unwrap().current();
            acts.iter().any(|act| {
                world.act(act);
                so(&world)
            })
        })
    }

    #[test]
    fn in_the_model_several_act_one_after_the_other() {
        let whose = |world: &World| world.done.iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len();
        assert!(is_found(|| World::new(3, 2), |world| whose(world) == 3));
    }

    #[test]
    fn the_model_finds_out_who_takes_a_lease_for_longer_than_it_is() {
        let world = || World { holds: 90 * SECOND, ..World::new(3, 2) };
        assert!(is_found(world, |world| !world.is_fenced()));
    }
}
