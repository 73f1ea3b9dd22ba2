//! Finding the machine's Java, with the real one and with scripts in its place.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use octad::artifact::{Java, JavaError};
use octad::tool::{self, Environment, Lack, Tool};

/// A program in `folder` that answers as `body` says.
fn fake(folder: &Path, body: &str) -> PathBuf {
    let path = folder.join("bin/java");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Written aside and renamed: a file that some thread still has open for writing can't be executed.
    let draft = path.with_extension("draft");
    fs::write(&draft, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(draft, &path).unwrap();
    path
}

fn answer(version: &str) -> String {
    format!("echo 'openjdk version \"{version}\" 2019-01-15' >&2")
}

fn only(name: &str, value: &Path) -> Environment {
    Environment::default().with(name, value)
}

#[tokio::test]
async fn the_machines_java_is_found_quickly_and_alike() {
    let environment = Environment::from_process();
    let start = Instant::now();
    let java = Java::find(&environment).await.unwrap();
    let took = start.elapsed();
    let start = Instant::now();
    std::process::Command::new(&java.path).arg("-version").output().unwrap();
    let asked = start.elapsed();
    assert!(java.major >= 17 && java.version.starts_with(&java.major.to_string()), "{java:?}");
    assert!(java.path.is_absolute() && java.path.exists());
    assert!(took < asked / 2, "{took:?}, and it tells its version itself in {asked:?}");
    assert_eq!(Java::find(&environment).await.unwrap(), java);
}

#[tokio::test]
async fn a_wrapper_leads_to_the_java_behind_it() {
    let real = Java::find(&Environment::from_process()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let wrapper = fake(dir.path(), &format!("exec '{}' \"$@\"", real.path.display()));
    assert_eq!(Java::find(&only("OCTAD_JAVA", &wrapper)).await.unwrap(), real);
}

#[tokio::test]
async fn an_old_java_is_refused_with_its_version() {
    let dir = tempfile::tempdir().unwrap();
    let path = fake(dir.path(), &answer("17.0.1"));
    assert_eq!(
        Java::find(&only("OCTAD_JAVA", &path)).await.unwrap().major,
        17,
        "the detector: such a script can pass"
    );
    for version in ["11.0.2", "1.8.0_392"] {
        let path = fake(dir.path(), &answer(version));
        let error = Java::find(&only("OCTAD_JAVA", &path)).await.unwrap_err();
        assert!(
            matches!(&error, JavaError::TooOld { found, needed: 17, .. } if found == version),
            "{error:?}"
        );
        assert_eq!(
            error.to_string(),
            format!("{} is Java {version}; Java 17 or newer is needed", path.display())
        );
        assert!(error.hint().unwrap().contains(&tool::how_to_get(&[Lack::of(Tool::named(tool::JAVA))])));
    }
}

#[tokio::test]
async fn octad_java_goes_before_java_home_and_that_before_path() {
    let dir = tempfile::tempdir().unwrap();
    let (named, home, path) = (dir.path().join("n"), dir.path().join("h"), dir.path().join("p"));
    let named_java = fake(&named, &answer("21.0.1"));
    fake(&home, &answer("22.0.1"));
    fake(&path, &answer("23.0.1"));
    let environment = only("PATH", &path.join("bin"));
    assert_eq!(Java::find(&environment).await.unwrap().major, 23);
    assert_eq!(Java::find(&environment.clone().with("JAVA_HOME", &named_java)).await.unwrap().major, 23);
    let environment = environment.with("JAVA_HOME", &home);
    assert_eq!(Java::find(&environment).await.unwrap().major, 22);
    let environment = environment.with("OCTAD_JAVA", &named_java);
    assert_eq!(Java::find(&environment).await.unwrap().major, 21);
    let error = Java::find(&environment.with("OCTAD_JAVA", dir.path().join("no"))).await.unwrap_err();
    assert!(matches!(&error, JavaError::NotFound { tried } if tried.len() == 1), "{error:?}");
}

#[tokio::test]
async fn no_java_and_no_answer_are_different_errors() {
    let dir = tempfile::tempdir().unwrap();
    let error = Java::find(&only("PATH", dir.path())).await.unwrap_err();
    assert!(matches!(error, JavaError::NotFound { .. }), "{error:?}");
    assert!(error.hint().unwrap().starts_with(&tool::how_to_get(&[Lack::of(Tool::named(tool::JAVA))])));

    let path = fake(dir.path(), "echo no such VM >&2; exit 3");
    let error = Java::find(&only("OCTAD_JAVA", &path)).await.unwrap_err();
    assert!(matches!(&error, JavaError::Unrecognised { output, .. } if output == "no such VM"), "{error:?}");
}

#[tokio::test]
async fn the_fingerprint_follows_the_jvm_binary() {
    let dir = tempfile::tempdir().unwrap();
    let path = fake(dir.path(), "exit 1");
    fs::create_dir_all(dir.path().join("lib")).unwrap();
    fs::write(dir.path().join("lib/modules"), "one").unwrap();
    fs::write(dir.path().join("release"), "JAVA_VERSION=\"21.0.1\"\nJAVA_RUNTIME_VERSION=\"21.0.1+1\"\n")
        .unwrap();
    let environment = only("OCTAD_JAVA", &path);
    let before = Java::find(&environment).await.unwrap();
    assert_eq!((before.major, Java::find(&environment).await.unwrap()), (21, before.clone()));
    fs::write(dir.path().join("lib/modules"), "two, and longer").unwrap();
    assert_ne!(Java::find(&environment).await.unwrap().fingerprint, before.fingerprint);
}
