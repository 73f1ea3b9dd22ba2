//! Artifact sets against the real Maven and the repositories of this user's settings.
//!
//! Every test has a store of its own and sees Maven through a wrapper that counts its calls. A local repository is
//! only ever spoiled or emptied in a directory of the test's own.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use octad::artifact::{Activity, ArtifactError, ArtifactSet, JarFault, Progress, Store};
use octad::tool::{self, Environment, Lack, Tool};
use tempfile::TempDir;

/// A directory with a store, a `PATH` entry whose `mvn` counts its calls, and what a test puts beside them.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        let real = Environment::from_process().program("mvn").expect("these tests need Maven");
        bench.maven(&format!("exec '{}' \"$@\"", real.display()));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes `mvn` note its call and then do as `body` says.
    fn maven(&self, body: &str) {
        let calls = self.path("calls");
        script(&self.path("bin/mvn"), &format!("echo called >>'{}'\n{body}", calls.display()));
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.path("calls")).map_or(0, |text| text.lines().count())
    }

    fn environment(&self) -> Environment {
        let process = Environment::from_process();
        let mut path = self.path("bin").into_os_string();
        path.push(":");
        path.push(process.get("PATH").unwrap());
        process.without("OCTAD_ARTIFACTS").with("OCTAD_STORE", self.path("store")).with("PATH", path)
    }

    fn without_maven(&self) -> Environment {
        self.environment().with("PATH", self.path("nothing"))
    }

    /// Maven with settings and a local repository of the test's own. Java takes the home directory from the user
    /// database and not from `HOME`, hence the property.
    fn own_home(&self, settings: &str) -> Environment {
        let settings = format!("<settings>{settings}</settings>");
        fs::create_dir_all(self.path("home/.m2")).unwrap();
        fs::write(self.path("home/.m2/settings.xml"), settings).unwrap();
        let options = format!("-Duser.home={}", self.path("home").display());
        self.environment().with("HOME", self.path("home")).with("MAVEN_OPTS", options)
    }

    fn jar(&self, set: &ArtifactSet, artifact: &str) -> PathBuf {
        let jar = set.jars().iter().find(|jar| jar.coordinates.contains(&format!(":{artifact}:"))).unwrap();
        self.path("store/jars").join(jar.store_name())
    }

    fn litter(&self) -> usize {
        fs::read_dir(self.path("store/tmp")).map_or(0, Iterator::count)
    }
}

fn script(path: &Path, body: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Written aside and renamed: a file that some thread still has open for writing can't be executed.
    let draft = path.with_extension("draft");
    fs::write(&draft, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(draft, path).unwrap();
}

fn zookeeper() -> &'static ArtifactSet {
    ArtifactSet::find("zookeeper", "3.9.5").unwrap()
}

async fn resolve(environment: Environment, set: &ArtifactSet) -> Result<Vec<Progress>, ArtifactError> {
    let seen = Mutex::new(Vec::new());
    let store = Store::locate(environment)?;
    let class_path = store.resolve(set, &|progress| seen.lock().unwrap().push(progress)).await?;
    assert_eq!(class_path.jars().len(), set.jars().len());
    for (jar, locked) in class_path.jars().zip(set.jars()) {
        assert!(jar.is_absolute());
        assert_eq!(fs::metadata(jar).unwrap().len(), locked.size);
    }
    Ok(seen.into_inner().unwrap())
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!("\n  {cause}"));
        next = cause.source();
    }
    text
}

#[tokio::test]
async fn an_empty_store_is_filled_and_then_needs_no_maven() {
    let bench = Bench::new();
    for set in ArtifactSet::embedded() {
        let without = resolve(bench.without_maven(), set).await;
        assert!(
            matches!(without, Err(ArtifactError::MavenNotFound { .. })),
            "the detector: PATH hides Maven"
        );

        let before = bench.calls();
        let progress = resolve(bench.environment(), set).await.unwrap();
        assert_eq!(bench.calls(), before + 1, "one call for {set}");
        let last = progress.last().unwrap();
        assert_eq!(last.done, last.total);
        assert!(progress.is_sorted_by_key(|progress| progress.done), "{progress:?}");
        assert_eq!(bench.litter(), 0);

        assert_eq!(resolve(bench.without_maven(), set).await.unwrap(), [], "nothing to report of {set}");
    }
}

#[tokio::test]
async fn a_truncated_and_a_corrupted_jar_are_fetched_again() {
    let bench = Bench::new();
    resolve(bench.environment(), zookeeper()).await.unwrap();

    let truncated = bench.jar(zookeeper(), "zookeeper-jute");
    let good = fs::read(&truncated).unwrap();
    fs::write(&truncated, &good[..good.len() / 2]).unwrap();
    let corrupted = bench.jar(zookeeper(), "logback-core");
    let mut bytes = fs::read(&corrupted).unwrap();
    let modified = fs::metadata(&corrupted).unwrap().modified().unwrap();
    bytes[1000] ^= 1;
    fs::write(&corrupted, &bytes).unwrap();
    fs::remove_file(bench.jar(zookeeper(), "slf4j-api")).unwrap();

    let refused = resolve(bench.without_maven(), zookeeper()).await.unwrap_err();
    assert!(matches!(refused, ArtifactError::MavenNotFound { missing: 3, .. }), "{refused:?}");

    let progress = resolve(bench.environment(), zookeeper()).await.unwrap();
    assert_eq!(progress.last().unwrap().total, 3, "only what was wrong");
    assert_eq!(bench.calls(), 2);
    assert_eq!(fs::read(&truncated).unwrap(), good);
    assert_eq!(
        fs::metadata(&corrupted).unwrap().modified().unwrap(),
        modified,
        "a jar fetched again has the time of the first, or class-data archives would be refused"
    );
}

#[tokio::test]
async fn a_poisoned_local_repository_is_survived() {
    let bench = Bench::new();
    let poisoned = bench.path("m2/org/apache/zookeeper/zookeeper-jute/3.9.5/zookeeper-jute-3.9.5.jar");
    fs::create_dir_all(poisoned.parent().unwrap()).unwrap();
    fs::write(&poisoned, "poison").unwrap();
    let options = format!(
        "{} -Dmaven.repo.local={}",
        std::env::var("MAVEN_OPTS").unwrap_or_default(),
        bench.path("m2").display()
    );
    let progress = resolve(bench.environment().with("MAVEN_OPTS", options), zookeeper()).await.unwrap();
    assert!(
        progress.iter().any(|progress| progress.what == Activity::FetchingAnew),
        "Maven gave the poison first"
    );
    assert_eq!(bench.calls(), 2);
    assert_eq!(fs::read_to_string(&poisoned).unwrap(), "poison", "the user's repository is the user's");
    assert_eq!(bench.litter(), 0);
}

#[tokio::test]
async fn a_poisoned_local_repository_without_network_is_named_with_both_causes() {
    let bench = Bench::new();
    let names: Vec<_> = zookeeper().jars().iter().map(|jar| jar.file_name.as_str()).collect();
    bench.maven(&format!(
        "for argument; do case $argument in\n\
         -Dmaven.repo.local=*) echo '[ERROR] Could not transfer artifact'; exit 1;;\n\
         -DoutputDirectory=*) mkdir -p \"${{argument#*=}}\"; cd \"${{argument#*=}}\"; \
         for jar in {}; do echo poison >$jar; done;;\n\
         esac; done",
        names.join(" ")
    ));
    let error = resolve(bench.environment(), zookeeper()).await.unwrap_err();
    assert!(
        matches!(&error, ArtifactError::LocalRepositorySpoiled { anew, .. }
            if matches!(**anew, ArtifactError::Unreachable { .. })),
        "{error:?}"
    );
    let text = chain(&error);
    assert!(
        text.contains(&zookeeper().jars()[0].coordinates) && text.contains("Could not transfer"),
        "{text}"
    );
    assert_eq!(bench.calls(), 2);
    assert_eq!(fs::read_dir(bench.path("store/jars")).unwrap().count(), 0, "no poison in the store");
}

#[tokio::test]
async fn a_jar_that_no_repository_has_is_refused_with_both_digests() {
    let bench = Bench::new();
    let jute = zookeeper().jars().iter().find(|jar| jar.coordinates.contains(":zookeeper-jute:")).unwrap();
    let lock: String = zookeeper()
        .jars()
        .iter()
        .map(|jar| {
            let digest = if jar == jute { "0".repeat(64) } else { jar.digest.to_string() };
            format!("{digest} {} {} {}\n", jar.size, jar.coordinates, jar.file_name)
        })
        .collect();
    let set = ArtifactSet::parse("zookeeper", "3.9.5", zookeeper().pom(), &lock).unwrap();
    let error = resolve(bench.environment(), &set).await.unwrap_err();
    assert!(
        matches!(&error, ArtifactError::DigestMismatch { coordinates, found, .. }
            if *coordinates == jute.coordinates && *found == jute.digest),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains(&"0".repeat(64)) && text.contains(&jute.digest.to_string()), "{text}");
    assert_eq!(bench.calls(), 2);
    assert_eq!(fs::read_dir(bench.path("store/jars")).unwrap().count(), set.jars().len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_resolves_at_once_fill_the_store_once() {
    let bench = Bench::new();
    let (one, other) =
        tokio::join!(resolve(bench.environment(), zookeeper()), resolve(bench.environment(), zookeeper()));
    let (one, other) = (one.unwrap(), other.unwrap());
    let waited = |progress: &[Progress]| progress.iter().any(|progress| progress.what == Activity::Waiting);
    assert!(waited(&one) != waited(&other), "the detector: one met the other's lock");
    assert_eq!(bench.calls(), 1);
    assert_eq!(bench.litter(), 0);
}

#[tokio::test]
async fn a_supplied_directory_is_used_and_its_faults_are_named() {
    let bench = Bench::new();
    resolve(bench.environment(), zookeeper()).await.unwrap();
    let supplied = bench.path("supplied");
    fs::rename(bench.path("store"), &supplied).unwrap();
    let environment = || bench.environment().with("OCTAD_ARTIFACTS", &supplied);

    assert_eq!(resolve(environment(), zookeeper()).await.unwrap(), []);
    let jar = zookeeper().jars().iter().find(|jar| jar.coordinates.contains(":logback-core:")).unwrap();
    let path = supplied.join("jars").join(jar.store_name());

    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = resolve(environment(), zookeeper()).await.unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(
        matches!(&error, ArtifactError::Supplied { fault, .. } if matches!(**fault, JarFault::Digest { .. }))
    );

    fs::remove_file(&path).unwrap();
    let error = resolve(environment(), zookeeper()).await.unwrap_err();
    assert!(chain(&error).contains(&jar.coordinates), "{error}");
    assert!(matches!(&error, ArtifactError::Supplied { fault, .. } if **fault == JarFault::Missing));

    assert_eq!(bench.calls(), 1, "the first filling's");
    assert!(!bench.path("store").exists(), "nothing is written");
}

#[tokio::test]
async fn without_maven_the_message_says_what_is_missing_and_how_to_install_it() {
    let bench = Bench::new();
    let error = resolve(bench.without_maven(), zookeeper()).await.unwrap_err();
    let store = bench.path("store");
    assert_eq!(
        error.to_string(),
        format!(
            "17 jars of zookeeper 3.9.5 are missing from {} and Maven, which fetches them, is not on PATH",
            store.display()
        )
    );
    assert!(error.hint().unwrap().starts_with(&tool::how_to_get(&[Lack::of(Tool::named(tool::MAVEN))])));
}

#[tokio::test]
async fn maven_offline_or_cut_off_with_an_empty_store_says_so() {
    // Port 1 of the loopback interface refuses.
    let cut_off =
        "<mirrors><mirror><id>m</id><mirrorOf>*</mirrorOf><url>https://127.0.0.1:1/</url></mirror></mirrors>";
    for (settings, sign) in [("<offline>true</offline>", "offline mode"), (cut_off, "Connection refused")] {
        let bench = Bench::new();
        let error = resolve(bench.own_home(settings), zookeeper()).await.unwrap_err();
        assert!(matches!(error, ArtifactError::Unreachable { missing: 17, .. }), "{error:?}");
        let text = chain(&error);
        assert!(text.contains(sign) && !text.contains("[INFO]") && !text.contains("Re-run Maven"), "{text}");
        assert!(error.hint().unwrap().contains("OCTAD_ARTIFACTS"));
        assert_eq!(bench.calls(), 1);
        assert_eq!(bench.litter(), 0);
    }
}

#[tokio::test]
async fn a_maven_that_fails_or_brings_nothing_is_reported_as_such() {
    let bench = Bench::new();
    bench.maven("echo 'The JAVA_HOME environment variable is not defined correctly' >&2; exit 1");
    let error = resolve(bench.environment(), zookeeper()).await.unwrap_err();
    assert!(matches!(error, ArtifactError::MavenFailed { .. }), "{error:?}");
    assert!(chain(&error).contains("JAVA_HOME"), "{error}");

    bench.maven("exit 0");
    let error = resolve(bench.environment(), zookeeper()).await.unwrap_err();
    assert!(matches!(error, ArtifactError::NotBrought { .. }), "{error:?}");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_named() {
    let bench = Bench::new();
    fs::write(bench.path("file"), "").unwrap();
    let environment = bench.environment().with("OCTAD_STORE", bench.path("file/store"));
    let error = resolve(environment, zookeeper()).await.unwrap_err();
    assert!(matches!(error, ArtifactError::StoreNotWritable { .. }), "{error:?}");
    assert!(error.to_string().contains("file/store"), "{error}");
    assert_eq!(bench.calls(), 0);
}

#[tokio::test]
async fn a_dropped_resolve_kills_maven_and_its_children_and_cleans_up() {
    let bench = Bench::new();
    let pids = bench.path("pids");
    bench.maven(&format!("sleep 600 & echo $$ $! >'{0}.new'; mv '{0}.new' '{0}'; wait", pids.display()));
    let store = Store::locate(bench.environment()).unwrap();
    tokio::select! {
        _ = store.resolve(zookeeper(), &|_| ()) => panic!("Maven sleeps"),
        () = until(|| pids.exists()) => {}
    }
    let started: Vec<u32> =
        fs::read_to_string(&pids).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(started.len(), 2);
    until(|| !started.iter().any(|pid| runs(*pid))).await;
    assert_eq!(bench.litter(), 0);
}

#[tokio::test]
async fn what_a_killed_octad_left_is_swept_by_the_next_resolve() {
    let bench = Bench::new();
    resolve(bench.environment(), zookeeper()).await.unwrap();
    fs::create_dir_all(bench.path("store/tmp/1-0/brought")).unwrap();
    assert_eq!(bench.litter(), 1);
    resolve(bench.without_maven(), zookeeper()).await.unwrap();
    assert_eq!(bench.litter(), 0);
}

/// Whether the process is there and not merely unreaped.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "the condition did not come true within 10 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn locks_agree_where_sets_share_a_jar() {
    let mut seen = HashMap::new();
    for jar in ArtifactSet::embedded().iter().flat_map(ArtifactSet::jars) {
        assert_eq!(*seen.entry(&jar.coordinates).or_insert(jar), jar, "one jar, two digests");
    }
}
