//! What servers on empty disks come to, over the wire and in a model that is searched whole.

use super::*;
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use tempfile::TempDir;

/// Three addresses of a test's own.
fn addresses(test: u8) -> Vec<String> {
    let own = |server| format!("127.78.{}.{}:2181", std::process::id() % 254 + 1, 10 * test + server);
    [1, 2, 3].map(own).into()
}

fn others(all: &[String], own: &str) -> Vec<String> {
    all.iter().filter(|one| *one != own).cloned().collect()
}

async fn asked(
    all: Vec<String>,
    own: String,
    note: PathBuf,
    limit: Duration,
) -> Result<Admitted, NotAdmitted> {
    let trust = || std::fs::write(&note, "");
    admit(&own, &others(&all, &own), note.exists(), trust, limit).await
}

fn notes(here: &TempDir) -> Vec<PathBuf> {
    (0..3).map(|number| here.path().join(number.to_string())).collect()
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(1);

/// Answers as ZooKeeper does, until it is dropped.
fn zookeeper(address: &str, text: &'static str) -> JoinSet<()> {
    let listener = std::net::TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = tell(stream, text).await;
        }
    });
    task
}

#[tokio::test]
async fn three_new_servers_begin_together_whenever_each_is_started() {
    let (here, all) = (TempDir::new().unwrap(), addresses(1));
    let notes = notes(&here);
    let mut running = JoinSet::new();
    for (own, note) in all.iter().zip(&notes) {
        running.spawn(asked(all.clone(), own.clone(), note.clone(), LONG));
        tokio::time::sleep(PAUSE * 2).await;
    }
    // Two of them begin; what the third finds is an ensemble that has gone ahead, or one that still waits for it.
    let first = running.join_next().await.unwrap().unwrap().unwrap();
    let second = running.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!((first, second), (Admitted::Begins, Admitted::Begins));
    assert!(notes.iter().filter(|note| note.exists()).count() >= 2);
}

#[tokio::test]
async fn one_that_could_not_be_asked_may_have_all_that_there_is() {
    let (here, all) = (TempDir::new().unwrap(), addresses(2));
    let notes = notes(&here);
    // The third is cut off; the disks of the others may be those of servers that it was of an ensemble with.
    let mut running = JoinSet::new();
    for place in [0, 1] {
        let limit = Duration::from_secs(3);
        running.spawn(asked(all.clone(), all[place].clone(), notes[place].clone(), limit));
    }
    while let Some(done) = running.join_next().await {
        let Err(NotAdmitted::Waits { others }) = done.unwrap() else { panic!("one began") };
        assert!(others.contains_key(&all[2]));
    }
    assert!(notes.iter().all(|note| !note.exists()));
}

#[tokio::test]
async fn one_that_runs_in_no_quorum_may_have_all_that_there_is() {
    let (here, all) = (TempDir::new().unwrap(), addresses(3));
    let notes = notes(&here);
    let _running = [zookeeper(&all[1], NOT_SERVING), zookeeper(&all[2], NEW)];
    let result = asked(all.clone(), all[0].clone(), notes[0].clone(), SHORT).await;
    let Err(NotAdmitted::Waits { others }) = result else { panic!("{result:?}") };
    assert_eq!(others.into_keys().collect::<Vec<_>>(), [all[1].clone()]);
    assert!(!notes[0].exists());
}

#[tokio::test]
async fn an_ensemble_that_serves_is_joined() {
    const SRVR: &str = "Zookeeper version: 3.9.5-1, built on 2026-01-20\nLatency min/avg/max: 0/0.5/14\n\
        Connections: 3\nOutstanding: 1\nZxid: 0x200000007\nMode: leader\n";
    let (here, all) = (TempDir::new().unwrap(), addresses(4));
    let notes = notes(&here);
    let _running = [zookeeper(&all[1], SRVR), zookeeper(&all[2], NEW)];
    let result = asked(all.clone(), all[0].clone(), notes[0].clone(), LONG).await;
    assert_eq!(result.unwrap(), Admitted::Joins);
    assert!(!notes[0].exists());
}

#[tokio::test]
async fn one_that_has_the_word_of_all_waits_for_a_majority_and_no_longer() {
    let (here, all) = (TempDir::new().unwrap(), addresses(5));
    let notes = notes(&here);
    std::fs::write(&notes[0], "").unwrap();
    let alone = asked(all.clone(), all[0].clone(), notes[0].clone(), SHORT).await;
    assert!(matches!(alone, Err(NotAdmitted::Alone)), "{alone:?}");
    let _gone_ahead = zookeeper(&all[1], NOT_SERVING);
    let result = asked(all.clone(), all[0].clone(), notes[0].clone(), LONG).await;
    assert_eq!(result.unwrap(), Admitted::Begins);
}

#[tokio::test]
async fn whoever_asks_something_else_is_answered_too_and_holds_nobody_up() {
    let all = addresses(6);
    let listener = TcpListener::bind(&all[0]).await.unwrap();
    let _task = {
        let mut task = JoinSet::new();
        task.spawn(answer(listener, Arc::new(AtomicBool::new(false))));
        task
    };
    let _silent = TcpStream::connect(&all[0]).await.unwrap();
    assert_eq!(query(&all[0], "ruok", ANSWER).await.unwrap(), NEW);
}

/// Three servers whose disks are lost, replaced with the word for a new server, or rolled back to before their first
/// write, at any moment; who may be cut off from whom at any moment; every order of events.
mod model {
    use super::*;

    const SERVERS: usize = 3;
    const COMMITS: u8 = 2;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    enum Disk {
        /// Empty, with leave.
        New,
        /// Empty, and trusted.
        Trusted,
        /// Empty, and asks for all before it votes.
        Empty,
        /// Has so many transactions.
        Data(u8),
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    enum Phase {
        Down,
        /// In front of its start, with those that said that they are new.
        Asks([bool; SERVERS]),
        Runs,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    struct World {
        servers: [(Disk, Phase); SERVERS],
        committed: u8,
    }

    /// What a server goes by.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Rule {
        /// Each other said that it is new.
        AllNew,
        /// None was seen to serve.
        NoneServes,
        /// A majority, itself included, is new.
        Most,
    }

    impl World {
        fn with(mut self, place: usize, disk: Disk, phase: Phase) -> Self {
            self.servers[place] = (disk, phase);
            self
        }

        /// Whether some disk still has all that was acknowledged.
        fn is_held(&self) -> bool {
            self.committed > 0 && self.servers.iter().any(|(disk, _)| *disk == Disk::Data(self.committed))
        }

        fn next(&self, rule: Rule) -> Vec<Self> {
            let mut found = Vec::new();
            for (place, (disk, phase)) in self.servers.into_iter().enumerate() {
                // A disk is replaced, and another word was meant; or it is rolled back.
                found.push(self.with(place, Disk::New, Phase::Down));
                found.push(self.with(place, disk, Phase::Down));
                match (phase, disk) {
                    (Phase::Down, Disk::New | Disk::Trusted) => {
                        found.push(self.with(place, disk, Phase::Asks([false; SERVERS])));
                    }
                    (Phase::Down, _) => found.push(self.with(place, disk, Phase::Runs)),
                    (Phase::Asks(heard), _) => self.asks(place, heard, rule, &mut found),
                    (Phase::Runs, _) => {}
                }
            }
            for quorum in [[0, 1].as_slice(), &[0, 2], &[1, 2], &[0, 1, 2]] {
                found.extend(self.serves(quorum));
            }
            found
        }

        fn asks(&self, place: usize, heard: [bool; SERVERS], rule: Rule, found: &mut Vec<Self>) {
            let disk = self.servers[place].0;
            for (other, (its, phase)) in self.servers.iter().enumerate().filter(|(other, _)| *other != place)
            {
                if matches!((its, phase), (Disk::New | Disk::Trusted, Phase::Asks(_))) {
                    let mut heard = heard;
                    heard[other] = true;
                    found.push(self.with(place, disk, Phase::Asks(heard)));
                }
            }
            if disk == Disk::Trusted {
                // Those that have gone ahead are of no concern to what may be lost.
                found.push(self.with(place, disk, Phase::Runs));
                return;
            }
            let name = |other: usize| other.to_string();
            let others: Vec<String> = (0..SERVERS).filter(|other| *other != place).map(name).collect();
            let new: BTreeSet<String> = (0..SERVERS).filter(|other| heard[*other]).map(name).collect();
            let trusts = match rule {
                Rule::AllNew => all_new(&others, &new),
                Rule::NoneServes => true,
                Rule::Most => !new.is_empty(),
            };
            if trusts {
                found.push(self.with(place, Disk::Trusted, Phase::Asks(heard)));
            }
            // Others may serve, and be seen to.
            found.push(self.with(place, Disk::Empty, Phase::Runs));
        }

        /// A quorum forms, all that it knows is copied, those without a vote have it too, and it may acknowledge more.
        fn serves(&self, quorum: &[usize]) -> Vec<Self> {
            let zxid = |place: &usize| match self.servers[*place] {
                (Disk::Trusted, Phase::Runs) => Some(0),
                (Disk::Data(zxid), Phase::Runs) => Some(zxid),
                _ => None,
            };
            let Some(all) = quorum.iter().map(zxid).collect::<Option<Vec<u8>>>() else { return Vec::new() };
            let newest = all.into_iter().max().unwrap_or(0);
            let mut formed = *self;
            for place in quorum {
                formed.servers[*place].0 = Disk::Data(newest);
            }
            let filled = (0..SERVERS).filter(|place| self.servers[*place] == (Disk::Empty, Phase::Runs));
            let mut found: Vec<Self> =
                filled.map(|place| formed.with(place, Disk::Data(newest), Phase::Runs)).collect();
            if newest == self.committed && newest < COMMITS {
                let mut more = formed;
                more.committed += 1;
                quorum.iter().for_each(|place| more.servers[*place].0 = Disk::Data(newest + 1));
                found.push(more);
            }
            found.push(formed);
            found
        }

        /// Whether a quorum may form that lacks what another disk still has.
        fn loses(&self) -> bool {
            let votes = |(disk, phase): &&(Disk, Phase)| {
                *phase == Phase::Runs && matches!(disk, Disk::Trusted | Disk::Data(_))
            };
            let has = |(disk, _): &(Disk, Phase)| *disk == Disk::Data(self.committed);
            let lacking = self.servers.iter().filter(votes).filter(|one| !has(one)).count();
            self.is_held() && lacking > SERVERS / 2
        }
    }

    /// How many states there are until one loses something; `Err` with that one.
    fn search(rule: Rule) -> Result<usize, World> {
        let first = World { servers: [(Disk::New, Phase::Down); SERVERS], committed: 0 };
        let mut seen = HashSet::from([first]);
        let mut open = VecDeque::from([first]);
        while let Some(world) = open.pop_front() {
            if world.loses() {
                return Err(world);
            }
            open.extend(world.next(rule).into_iter().filter(|next| seen.insert(*next)));
        }
        Ok(seen.len())
    }

    #[test]
    fn no_disk_that_was_replaced_under_a_wrong_word_outvotes_the_one_that_has_the_data() {
        let states = search(Rule::AllNew).unwrap();
        assert!(states > 1000, "{states}");
    }

    #[test]
    fn weaker_rules_are_seen_to_lose() {
        for rule in [Rule::NoneServes, Rule::Most] {
            assert!(search(rule).is_err(), "{rule:?}");
        }
    }
}
