//! Octad killed by SIGKILL, for real: at each of its steps' begin and end and right before and after each deed, so that
//! every journal record is the last one once. The child is this test's own program; the simulated world, which would
//! outlive Octad, is written down as it is at that moment, and the next run finds it so.

#[path = "support/simulation.rs"]
mod simulation;

use octad::cli::CliError;
use octad::engine::{self, HaltError, Lock, LockError};
use octad::host::FakeWorld;
use octad::model::Refusal;
use rustix::process::{Signal, getpid, kill_process};
use simulation::{Ended, SHARED, Simulation, THREE_AND_THREE, Watcher, site};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Where a child finds its world and its orders.
const WORLD: &str = "world.json";
const FILE: &str = "stack.toml";
const SITE: &str = "site";

/// A stack in a directory that children work in.
struct Scene(tempfile::TempDir);

impl Scene {
    fn of(simulation: &Simulation) -> Self {
        let scene = Self(site());
        scene.keep(&simulation.world, &simulation.file.to_string());
        scene
    }

    /// The same once more, in a directory of its own.
    fn copy(&self) -> Self {
        let copy = Self(site());
        fs::create_dir_all(copy.path(SITE)).unwrap();
        for entry in fs::read_dir(self.path(SITE)).into_iter().flatten() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path(SITE).join(entry.file_name())).unwrap();
        }
        for file in [WORLD, FILE] {
            fs::copy(self.path(file), copy.path(file)).unwrap();
        }
        copy
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn keep(&self, world: &FakeWorld, file: &str) {
        fs::write(self.path(WORLD), world.to_json()).unwrap();
        fs::write(self.path(FILE), file).unwrap();
    }

    fn simulation(&self) -> Simulation {
        in_directory(self.0.path())
    }

    /// Runs `verb` in a child that is killed at its moment of this number; whether there was such a moment.
    fn killed(&self, verb: &str, moment: usize) -> bool {
        let status = self.child(verb, moment).status().unwrap();
        assert!(status.success() || status.signal() == Some(9), "{verb}, moment {moment}: {status}");
        !status.success()
    }

    /// Begins `up` in a child that waits for the lock.
    fn waiting_up(&self) -> Child {
        self.child("up in turn", usize::MAX).spawn().unwrap()
    }

    fn child(&self, verb: &str, moment: usize) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "octad_that_is_killed", "--ignored", "--quiet"])
            .env("OCTAD_CRASH", self.0.path())
            .env("OCTAD_CRASH_VERB", verb)
            .env("OCTAD_CRASH_MOMENT", moment.to_string())
            .stdout(Stdio::null());
        command
    }

    /// How many whole records are in the journal.
    fn records(&self) -> usize {
        let journal = fs::read(self.path(SITE).join("journal.ndjson")).unwrap_or_default();
        journal.iter().filter(|byte| **byte == b'\n').count()
    }
}

fn in_directory(directory: &Path) -> Simulation {
    let world = FakeWorld::from_json(&fs::read(directory.join(WORLD)).unwrap()).unwrap();
    let file = fs::read_to_string(directory.join(FILE)).unwrap();
    fs::create_dir_all(directory.join(SITE)).unwrap();
    Simulation::at(&directory.join(SITE), &file, world)
}

#[test]
#[ignore = "the child of the other tests"]
fn octad_that_is_killed() {
    let Some(directory) = std::env::var_os("OCTAD_CRASH") else { return };
    let last: usize = std::env::var("OCTAD_CRASH_MOMENT").unwrap().parse().unwrap();
    let mut simulation = in_directory(Path::new(&directory));
    let (world, moments) = (simulation.world.clone(), AtomicUsize::new(0));
    let kept = Path::new(&directory).join(WORLD);
    let watcher: Watcher = Arc::new(move || {
        if moments.fetch_add(1, Ordering::Relaxed) + 1 == last {
            fs::write(&kept, world.to_json()).unwrap();
            let _ = kill_process(getpid(), Signal::KILL);
        }
    });
    simulation.watcher = Some(watcher.clone());
    simulation.world.watch(move || watcher());
    match std::env::var("OCTAD_CRASH_VERB").as_deref() {
        Ok("up in turn") => up_in_turn(Path::new(&directory)),
        Ok("up") => drop(simulation.up().unwrap()),
        Ok("destroy") => drop(simulation.destroy().unwrap()),
        other => panic!("{other:?}"),
    }
}

/// Has `verb` killed at each of its moments in turn, each time from `scene` on; `then` looks at what is left. Each
/// number of records up to the last must have been all that the journal held.
fn at_each_moment(scene: &Scene, verb: &str, then: impl Fn(&Simulation, usize)) -> usize {
    at_each_moment_of(scene, verb, 1, then)
}

/// The same where so many records are written at once.
fn at_each_moment_of(scene: &Scene, verb: &str, at_once: usize, then: impl Fn(&Simulation, usize)) -> usize {
    let mut seen = BTreeSet::new();
    for moment in 1.. {
        let copy = scene.copy();
        if !copy.killed(verb, moment) {
            assert_eq!(copy.records(), 0, "what ran to its end is folded into the snapshot");
            break;
        }
        seen.insert(copy.records());
        then(&copy.simulation(), moment);
    }
    let most = *seen.last().unwrap();
    // What is staged is noted right before the stack is, with nothing done between.
    let first = *seen.first().unwrap();
    let each = (first..=most).step_by(at_once).collect();
    assert!(first <= 2 && seen == each, "each record was the last one once: {seen:?}");
    most
}

#[track_caller]
fn assert_converges(simulation: &Simulation, moment: usize) {
    let up = simulation.up();
    assert!(up.is_ok(), "moment {moment}: {}", octad::causes::with_causes(&up.unwrap_err()));
    assert!(
        matches!(simulation.up(), Ok(Ended::Nothing)),
        "moment {moment}: a second up has something to do"
    );
    assert!(simulation.state().resources.values().all(|resource| !resource.is_pending()), "moment {moment}");
    simulation.world.settle();
}

#[test]
fn killed_at_each_moment_of_a_first_up() {
    let whole = Simulation::of(THREE_AND_THREE);
    let fresh = Scene::of(&whole);
    whole.up().unwrap();
    whole.world.settle();
    let records = at_each_moment(&fresh, "up", |simulation, moment| {
        assert_converges(simulation, moment);
        assert_eq!(simulation.world.portrait(), whole.world.portrait(), "moment {moment}");
        for (node, spawns) in simulation.world.spawns() {
            assert_eq!(spawns, 1, "moment {moment}: {node} is started once");
        }
        assert!(simulation.world.formats().values().all(|formats| *formats == 1), "moment {moment}");
        assert_eq!(simulation.world.own_breaches(), [], "moment {moment}");
    });
    // What is staged and the stack, then begin and end of 6 hosts, 6 nodes and a topic, and the cluster's id.
    assert_eq!(records, 2 + 2 * 13 + 1);
}

#[test]
fn killed_at_each_moment_of_a_change() {
    let made = Scene::of(&Simulation::of(THREE_AND_THREE));
    let mut simulation = made.simulation();
    simulation.up().unwrap();
    simulation.world.settle();
    simulation.set("kafka.settings.num.io.threads", Some(8.into()));
    made.keep(&simulation.world, &simulation.file.to_string());
    let other = made.copy();
    let whole = other.simulation();
    whole.up().unwrap();
    whole.world.settle();
    assert_eq!(whole.world.spawns()["broker-1"], 2, "the detector: starts are counted");
    let records = at_each_moment(&made, "up", |simulation, moment| {
        assert_converges(simulation, moment);
        assert_eq!(simulation.world.portrait(), whole.world.portrait(), "moment {moment}");
        assert_eq!(simulation.world.spawns(), whole.world.spawns(), "moment {moment}: one restart each");
        assert_eq!(simulation.world.own_breaches(), [], "moment {moment}");
    });
    // What is staged and the stack, then begin and end of 3 brokers.
    assert_eq!(records, 2 + 2 * 3);
}

#[test]
fn killed_at_each_moment_of_a_change_of_hosts_as_a_whole() {
    let made = Scene::of(&Simulation::of(SHARED));
    let mut simulation = made.simulation();
    simulation.up().unwrap();
    simulation.world.settle();
    simulation.set("kafka.settings.num.io.threads", Some(8.into()));
    simulation.set("zookeeper.settings.maxClientCnxns", Some(90.into()));
    made.keep(&simulation.world, &simulation.file.to_string());
    let other = made.copy();
    let whole = other.simulation();
    whole.up().unwrap();
    whole.world.settle();
    let (on_trial, went_back) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let records = at_each_moment_of(&made, "up", 2, |simulation, moment| {
        // Of what is written at once a part may be all that there is.
        let journal = simulation.site().join("journal.ndjson");
        let text = fs::read_to_string(&journal).unwrap_or_default();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        if moment % 3 == 0 && lines.len() > 2 {
            fs::write(&journal, lines[..lines.len() - 1].concat()).unwrap();
        }
        let trials = simulation.world.on_trial();
        assert!(trials.len() <= 1, "moment {moment}: {trials:?}");
        on_trial.fetch_add(trials.len(), Ordering::Relaxed);
        // Of every other one nobody comes in time.
        let back = trials.iter().filter(|_| moment % 2 == 0);
        back.clone().for_each(|host| simulation.world.trial_ends(host));
        went_back.fetch_add(back.clone().count(), Ordering::Relaxed);
        assert_converges(simulation, moment);
        assert!(simulation.world.on_trial().is_empty(), "moment {moment}");
        assert_eq!(simulation.world.portrait(), whole.world.portrait(), "moment {moment}");
        if back.count() == 0 {
            assert_eq!(simulation.world.spawns(), whole.world.spawns(), "moment {moment}: one restart each");
        }
        assert_eq!(simulation.world.own_breaches(), [], "moment {moment}");
    });
    assert!(on_trial.into_inner() > 3 && went_back.into_inner() > 1, "the detector: some were on trial");
    // What is staged and the stack, then begin and end of 3 brokers and 3 servers.
    assert_eq!(records, 2 + 2 * 6);
}

#[test]
fn killed_at_each_moment_of_a_rename() {
    let stack = THREE_AND_THREE.replace("\"ha\"", "\"named\"");
    let made = Scene::of(&Simulation::of(&stack));
    let mut simulation = made.simulation();
    simulation.up().unwrap();
    simulation.world.settle();
    let mut moves: Vec<toml::Table> = Vec::new();
    for (node, name) in [("broker-2", "broker-b"), ("zk-3", "zk-c")] {
        simulation.set(&format!("names.{node}"), Some(name.into()));
        moves.push(format!("from = \"node/{node}\"\nto = \"node/{name}\"").parse().unwrap());
    }
    simulation.set("moved", Some(moves.into()));
    made.keep(&simulation.world, &simulation.file.to_string());
    let other = made.copy();
    let whole = other.simulation();
    whole.up().unwrap();
    whole.world.settle();
    assert_eq!(whole.world.spawns()["broker-b"], 2, "the detector: starts are counted");
    let records = at_each_moment(&made, "up", |simulation, moment| {
        assert_converges(simulation, moment);
        assert_eq!(simulation.world.portrait(), whole.world.portrait(), "moment {moment}");
        assert_eq!(simulation.world.spawns(), whole.world.spawns(), "moment {moment}: one restart each");
        assert!(simulation.world.formats().values().all(|formats| *formats == 1), "moment {moment}");
        assert_eq!(simulation.world.own_breaches(), [], "moment {moment}");
    });
    // The stack, then begin and end of 2 nodes.
    assert_eq!(records, 2 + 2 * 2);
}

#[test]
fn killed_at_each_moment_of_a_destroy() {
    let made = Scene::of(&Simulation::of(THREE_AND_THREE));
    let simulation = made.simulation();
    simulation.up().unwrap();
    simulation.world.settle();
    made.keep(&simulation.world, THREE_AND_THREE);
    let records = at_each_moment(&made, "destroy", |simulation, moment| {
        let destroyed = simulation.destroy();
        assert!(destroyed.is_ok(), "moment {moment}: {destroyed:?}");
        assert!(simulation.world.is_empty(), "moment {moment}: {}", simulation.world.portrait());
        assert!(simulation.state().is_empty(), "moment {moment}");
    });
    // The topic goes with its cluster: that it is forgotten is one record.
    assert_eq!(records, 1 + 2 * 12 + 1);
}

#[test]
fn an_up_after_a_killed_destroy_makes_the_stack_whole_or_says_what_to_do() {
    let made = Scene::of(&Simulation::of(THREE_AND_THREE));
    let simulation = made.simulation();
    simulation.up().unwrap();
    simulation.world.settle();
    made.keep(&simulation.world, THREE_AND_THREE);
    let refused = AtomicUsize::new(0);
    at_each_moment(&made, "destroy", |again, moment| {
        // Removed data can't be had back, and an empty disk is never put in its place.
        let up = again.up();
        if let Err(error @ CliError::Apply(_)) = &up {
            // What the cluster counts on is only known once it serves.
            let told = octad::causes::with_causes(error);
            assert!(told.contains("does not begin with an empty disk"), "moment {moment}: {told}");
            refused.fetch_add(1, Ordering::Relaxed);
            assert!(again.destroy().is_ok() && again.world.is_empty(), "moment {moment}");
        }
        if let Err(CliError::Refused { refusals }) = up {
            refused.fetch_add(1, Ordering::Relaxed);
            // One whose removal was noted may still be counted on by the others.
            let ways = ["`octad destroy` goes on with it", "`octad up --refill broker-"];
            let told = |refusal: &Refusal| ways.iter().any(|way| refusal.hint.contains(way));
            assert!(refusals.iter().all(told), "moment {moment}: {refusals:?}");
            assert!(again.destroy().is_ok() && again.world.is_empty(), "moment {moment}");
        }
        assert_converges(again, moment);
        assert_eq!(again.world.portrait(), simulation.world.portrait(), "moment {moment}");
    });
    assert!(refused.into_inner() > 0, "there was a moment between data removed and that noted");
}

/// As the command line does: what is there is looked at only under the lock.
fn up_in_turn(directory: &Path) {
    let lock = loop {
        match Lock::take(&directory.join(SITE), "up") {
            Ok(lock) => break lock,
            Err(LockError::Held { .. }) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(lock.abandoned, None);
    let simulation = in_directory(directory);
    let ended = simulation.up().unwrap();
    fs::write(directory.join(WORLD), simulation.world.to_json()).unwrap();
    let mut ends = fs::OpenOptions::new().create(true).append(true).open(directory.join("ends")).unwrap();
    writeln!(ends, "{ended:?}").unwrap();
}

#[test]
fn of_several_ups_at_once_one_makes_the_stack_and_the_others_find_it() {
    let scene = Scene::of(&Simulation::of(THREE_AND_THREE));
    let children: Vec<Child> = (0..4).map(|_| scene.waiting_up()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read_to_string(scene.path("ends")).unwrap(), "Changed\nNothing\nNothing\nNothing\n");
    let simulation = scene.simulation();
    assert!(matches!(simulation.up(), Ok(Ended::Nothing)));
    assert!(simulation.world.spawns().values().all(|spawns| *spawns == 1));
}

#[test]
fn a_stop_that_is_asked_to_end_halts_nothing_more() {
    let simulation = Simulation::of(THREE_AND_THREE);
    simulation.up().unwrap();
    let (stack, state) = (simulation.declare().unwrap(), simulation.state());
    let context = simulation.context(&stack, &state);
    let (interrupter, interrupt) = engine::interrupt();
    let deeds = simulation.world.deed_count();
    interrupter.ask();
    let ended = simulation.wait(engine::halt(&context, &state, &interrupt));
    assert!(matches!(ended, Err(HaltError::Interrupted)), "{ended:?}");
    assert_eq!(simulation.world.deed_count(), deeds);
}
