//! What a stack's files may suffer: cut off at any byte, damaged, put back from another day, on a disk that is full or
//! may not be written. Each ends in a clear error or in a recovery, and nothing is lost.

#[path = "support/simulation.rs"]
mod simulation;
#[path = "support/skip.rs"]
mod skip;

use insta::assert_snapshot;
use octad::causes::with_causes;
use octad::cli::CliError;
use octad::engine::{Lock, State, StateError, Store};
use octad::host::FakeWorld;
use octad::report::Invocation;
use simulation::{Ended, Simulation, site};
use skip::skip;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const STACK: &str = r#"
program = "minimal"
hosts.backend = "fake"
topics.activity.partitions = 1
"#;

/// The files of a stack whose first `up` was killed right before its end: a snapshot and a journal, both of substance.
struct Files {
    directory: tempfile::TempDir,
    /// What the state is after each record of the journal, and before the first.
    states: Vec<State>,
}

impl Files {
    fn new() -> Self {
        let directory = site();
        let simulation = Simulation::at(directory.path(), STACK, FakeWorld::new());
        simulation.up().unwrap();
        let made = simulation.state();
        let mut store = Store::open(directory.path(), "sim").unwrap();
        let mut states = vec![store.state().clone()];
        for (key, resource) in &made.resources {
            let needs = resource.needs.clone();
            let inputs = resource.inputs.clone();
            let (key, renews) = (key.clone(), false);
            let begin = octad::engine::Record::Begin { key, moved_from: None, inputs, needs, renews };
            store.append(begin).unwrap();
            states.push(store.state().clone());
        }
        Self { directory, states }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self) -> Result<State, StateError> {
        Store::read(self.directory.path(), "sim")
    }

    /// What people read of an error, with the directory's name left out.
    fn told(&self, error: StateError) -> String {
        told(&CliError::State(error), self.directory.path())
    }
}

fn told(error: &CliError, directory: &Path) -> String {
    let report = error.report(&Invocation::default());
    let text = format!("{}exit {}", octad::output::failure_text(&report), report.code);
    text.replace(&*directory.to_string_lossy(), "[DIR]")
}

#[test]
fn a_snapshot_cut_off_at_any_byte_is_had_from_its_copy() {
    let files = Files::new();
    let (whole, journal) = (files.bytes("state.json"), files.bytes("journal.ndjson"));
    let last = files.states.last().unwrap();
    // Without its last byte, a line's end, it is still whole.
    for cut in 0..whole.len() - 1 {
        files.write("state.json", &whole[..cut]);
        assert_eq!(&files.read().unwrap(), last, "cut at {cut}");
    }
    files.write("state.json", &whole[..100]);
    let store = Store::open(files.directory.path(), "sim").unwrap();
    assert_eq!(store.state(), last);
    let damage = store.damage.as_ref().unwrap();
    assert!(matches!(damage, StateError::Damaged { line: None, .. }), "{damage:?}");
    assert_eq!(files.bytes("state.json.damaged"), &whole[..100], "nothing is thrown away");
    drop(store);
    assert!(Store::open(files.directory.path(), "sim").unwrap().damage.is_none(), "it is whole again");

    files.write("journal.ndjson", &journal);
    for cut in 0..whole.len() - 1 {
        files.write("state.json", &whole[..cut]);
        files.write("state.copy.json", &whole[..cut]);
        let error = files.read().unwrap_err();
        assert!(matches!(error, StateError::Damaged { line: None, .. }), "cut at {cut}: {error:?}");
    }
    assert!(Store::open(files.directory.path(), "sim").is_err());
    assert_eq!(files.bytes("state.json").len(), whole.len() - 2, "what is there is left alone");
    let error = files.read().unwrap_err();
    let told = files.told(error);
    let (before, after) = told.split_once("  because EOF").unwrap();
    let after = after.split_once('\n').unwrap().1;
    assert_snapshot!(format!("{before}  because EOF …\n{after}"), @"
    error: [DIR]/state.json is damaged
      because EOF …
    hint: nothing was lost yet: put a copy of [DIR]/state.json aside before anything else, and restore it from a backup
    exit 1
    ");
}

#[test]
fn a_snapshot_that_is_gone_is_had_from_its_copy() {
    let files = Files::new();
    fs::remove_file(files.path("state.json")).unwrap();
    assert_eq!(&files.read().unwrap(), files.states.last().unwrap());
    assert_eq!(Store::open(files.directory.path(), "sim").unwrap().state(), files.states.last().unwrap());
}

#[test]
fn a_journal_cut_off_at_any_byte_tells_what_was_whole() {
    let files = Files::new();
    let whole = files.bytes("journal.ndjson");
    assert_eq!(whole.iter().filter(|byte| **byte == b'\n').count() + 1, files.states.len());
    for cut in 0..=whole.len() {
        files.write("journal.ndjson", &whole[..cut]);
        let records = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(files.read().unwrap(), files.states[records], "cut at {cut}");
        // What a file system may leave of blocks that were not written.
        files.write("journal.ndjson", &[&whole[..cut], &[0; 16][..]].concat());
        assert_eq!(files.read().unwrap(), files.states[records], "cut at {cut}, then zeros");
    }
}

#[test]
fn a_damaged_line_of_the_journal_is_told_and_can_be_given_up() {
    let files = Files::new();
    let whole = String::from_utf8(files.bytes("journal.ndjson")).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    for damaged in 0..lines.len() {
        let with = |line: &str| {
            let mut lines = lines.clone();
            lines[damaged] = line;
            lines.iter().map(|line| format!("{line}\n")).collect::<String>()
        };
        files.write("journal.ndjson", with(&lines[damaged][1..]).as_bytes());
        match files.read() {
            Err(StateError::Damaged { line: Some(line), .. }) => assert_eq!(line, damaged + 1),
            other => panic!("{other:?}"),
        }
        // As the hint says.
        files.write("journal.ndjson", with("").as_bytes());
        let state = files.read().unwrap();
        assert_eq!(state.resources.keys().count(), files.states[0].resources.len());
    }
    files.write("journal.ndjson", whole.replacen('{', "x", 1).as_bytes());
    assert_snapshot!(files.told(files.read().unwrap_err()), @"
    error: [DIR]/journal.ndjson is damaged at line 1
      because expected value at line 1 column 1
    hint: put a copy of it aside, then empty that line: `sed -i '1s/.*//' [DIR]/journal.ndjson`; the next `octad preview` looks at what is really there
    exit 1
    ");
}

#[test]
fn a_snapshot_of_another_day_beside_the_journal_is_not_believed() {
    let files = Files::new();
    let old = State::new("sim");
    files.write("state.json", &serde_json::to_vec(&old).unwrap());
    assert_snapshot!(files.told(files.read().unwrap_err()), @"
    error: [DIR]/journal.ndjson begins with record 14, and the snapshot beside it ends with record 0
    hint: put the state.json back that belongs to it; [DIR]/state.copy.json may be it
    exit 1
    ");
    fs::copy(files.path("state.copy.json"), files.path("state.json")).unwrap();
    assert_eq!(&files.read().unwrap(), files.states.last().unwrap(), "as the hint says");
}

#[test]
fn files_of_a_newer_octad_are_not_taken_for_damaged_ones() {
    let files = Files::new();
    let state = String::from_utf8(files.bytes("state.json")).unwrap();
    let newer = state.replacen("\"format\": 4", "\"format\": 5", 1);
    assert_ne!(newer, state);
    files.write("state.json", newer.as_bytes());
    // An octad folds its journal into a snapshot of its own form before it writes its first record.
    files.write("journal.ndjson", b"{\"serial\":9,\"record\":\"of the future\"}\n");
    assert_snapshot!(files.told(files.read().unwrap_err()), @"
    error: [DIR]/state.json has format 5, and this Octad knows formats up to 4
    hint: use the newer Octad that wrote it
    exit 1
    ");
    assert!(Store::open(files.directory.path(), "sim").is_err());
    assert_eq!(files.bytes("state.json"), newer.as_bytes(), "left alone");
}

#[test]
fn files_of_an_older_octad_are_refused_with_what_to_do() {
    let files = Files::new();
    let state = String::from_utf8(files.bytes("state.json")).unwrap();
    let older = state.replacen("\"format\": 4", "\"format\": 3", 1);
    assert_ne!(older, state);
    files.write("state.json", older.as_bytes());
    assert_snapshot!(files.told(files.read().unwrap_err()), @"
    error: [DIR]/state.json has format 3, and this Octad reads format 4
    hint: use the older Octad that wrote it; or have that one `destroy` the stack, and this one make it anew
    exit 1
    ");
    assert!(Store::open(files.directory.path(), "sim").is_err());
    assert_eq!(files.bytes("state.json"), older.as_bytes(), "left alone");
}

#[test]
fn whose_lock_was_taken_away_writes_no_more() {
    let files = Files::new();
    let lock = Lock::take(files.directory.path(), "up").unwrap();
    let mut store = Store::open(files.directory.path(), "sim").unwrap();
    let record = || octad::engine::Record::Stack { groups: [].into(), outputs: [].into() };
    store.append(record()).unwrap();
    fs::remove_file(files.path("lock")).unwrap();
    let _other = Lock::take(files.directory.path(), "up").unwrap();
    let journal = files.bytes("journal.ndjson");
    assert!(!lock.holds());
    assert_snapshot!(files.told(store.append(record()).unwrap_err()), @"
    error: [DIR]/lock was taken away from this process, and another octad may work on the stack by now
    hint: see who works on the stack before you run it again
    exit 12
    ");
    assert!(store.fold().is_err());
    assert_eq!(files.bytes("journal.ndjson"), journal, "nothing was written");
    drop(lock);
    assert!(Lock::take(files.directory.path(), "up").is_err(), "the other one's lock holds");
}

/// Runs the ignored test of this name on a disk of its own of 256 KiB; `false` where this machine allows none.
fn on_a_small_disk(test: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let mount = r#"mount -t tmpfs -o size=256k none "$OCTAD_SMALL_DISK" && exec "$@""#;
    let unshared = |program: &Path, arguments: &[&str]| {
        Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", mount, "sh"])
            .arg(program)
            .args(arguments)
            .env("OCTAD_SMALL_DISK", directory.path())
            .stdin(Stdio::null())
            .output()
    };
    if !unshared(Path::new("true"), &[]).is_ok_and(|probe| probe.status.success()) {
        skip("no disk can be mounted in a namespace of its own on this machine");
        return false;
    }
    let own = std::env::current_exe().unwrap();
    let run = unshared(&own, &["--exact", test, "--ignored", "--nocapture"]).unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    true
}

fn small_disk() -> Option<PathBuf> {
    std::env::var_os("OCTAD_SMALL_DISK").map(PathBuf::from)
}

/// What the real octad says of `up` on this disk.
fn up_of_octad(state_dir: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_octad"))
        .args(["up", "--yes", "--stack", "minimal", "--state-dir"])
        .arg(state_dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    said.replace(&*small_disk().unwrap().to_string_lossy(), "[DIR]")
}

#[test]
fn on_a_full_disk() {
    on_a_small_disk("a_full_disk");
}

#[test]
#[ignore = "part of another test"]
fn a_full_disk() {
    let Some(disk) = small_disk() else { return };
    const PAGE: u64 = 4096;
    let filler = disk.join("filler");
    let fill = |pages: u64| {
        let mut file = fs::File::create(&filler).unwrap();
        let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "the detector: the disk gets full");
        file.set_len(file.metadata().unwrap().len().saturating_sub(pages * PAGE)).unwrap();
    };
    let (mut before, mut amid) = (0, 0);
    for pages in 0.. {
        fill(pages);
        let site = disk.join("site");
        fs::create_dir(&site).unwrap();
        let simulation = Simulation::at(&site, STACK, FakeWorld::new());
        let first = simulation.up();
        match &first {
            Ok(_) => break,
            Err(CliError::State(_)) => before += 1,
            Err(CliError::Apply(_)) => amid += 1,
            Err(other) => panic!("{pages} pages: {}", with_causes(other)),
        }
        let told = told(&first.unwrap_err(), &disk);
        assert!(told.contains("No space left on device (os error 28)"), "{pages} pages: {told}");
        assert!(told.contains("hint: look at the disk's free space"), "{pages} pages: {told}");
        fs::remove_file(&filler).unwrap();
        simulation.up().unwrap();
        assert!(matches!(simulation.up(), Ok(Ended::Nothing)), "{pages} pages");
        assert!(simulation.world.spawns().values().all(|spawns| *spawns == 1), "{pages} pages");
        fs::remove_dir_all(&site).unwrap();
    }
    assert!(before > 0 && amid > 0, "{before} times before the first record, {amid} times between two");
    fs::remove_dir_all(disk.join("site")).unwrap();
    fill(0);
    assert_snapshot!(up_of_octad(&disk.join("state")), @"
    error: could not write [DIR]/state/minimal/lock
      because No space left on device (os error 28)
      nothing was changed
    hint: look at the disk's free space and the file's permissions
    ");
}

#[test]
fn on_a_disk_that_may_not_be_written() {
    on_a_small_disk("a_disk_that_may_not_be_written");
}

#[test]
#[ignore = "part of another test"]
fn a_disk_that_may_not_be_written() {
    let Some(disk) = small_disk() else { return };
    let remount = |how: &str| {
        let options = format!("remount,{how}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&disk).status().unwrap().success());
    };
    let site = disk.join("site");
    fs::create_dir(&site).unwrap();
    let mut simulation = Simulation::at(&site, STACK, FakeWorld::new());
    simulation.up().unwrap();
    simulation.set("topics.other.partitions", Some(1.into()));
    let (state, deeds) = (simulation.state(), simulation.world.deed_count());
    remount("ro");
    assert!(fs::write(disk.join("x"), "x").is_err(), "the detector: root may not write either");
    let refused = simulation.up().unwrap_err();
    assert_snapshot!(told(&refused, &disk), @"
    error: could not open [DIR]/site/journal.ndjson
      because Read-only file system (os error 30)
    hint: look at the disk's free space and the file's permissions
    exit 1
    ");
    assert_eq!((simulation.state(), simulation.world.deed_count()), (state, deeds), "nothing was changed");
    assert_snapshot!(up_of_octad(&disk.join("state")), @"
    error: could not create [DIR]/state/minimal
      because Read-only file system (os error 30)
      nothing was changed
    hint: look at the disk's free space and the file's permissions
    ");
    remount("rw");
    simulation.up().unwrap();
    assert!(matches!(simulation.up(), Ok(Ended::Nothing)));
}
