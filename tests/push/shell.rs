//! A shell on a host: what deploys to machines tells them by it what to do.

use super::lab;
use super::lab::Sort;
use octad::ssh::{Answer, Shell, ShellError, Ssh};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn answer(code: i32, said: &str) -> Answer {
    Answer { code, said: said.to_owned() }
}

#[tokio::test]
async fn scripts_run_one_after_the_other_as_root() {
    let Some(lab) = lab() else { return };
    let host = lab.host("host", Sort::default());
    let ssh = Ssh { config: Some(lab.path().join("ssh_config")), ..Ssh::default() };
    // Also behind a login shell that prints.
    for user in [None, Some("chatty".to_owned())] {
        let ssh = Ssh { user, ..ssh.clone() };
        let shell = Shell::open(&ssh, "host").await.unwrap();
        let (shell, first) =
            shell.run("echo \"it's $(id -u)\"; printf '%s' '$HOME \\n'; exit 3", PATIENCE).await.unwrap();
        assert_eq!(first, answer(3, "it's 0\n$HOME \\n"));
        // Nothing of one script is there in the next, and nobody reads another's input.
        let (shell, second) = shell.run("there=1; cat; echo ä >&2", PATIENCE).await.unwrap();
        assert_eq!(second, answer(0, "ä"));
        let (shell, third) = shell.run("echo \"[$there]\"", PATIENCE).await.unwrap();
        assert_eq!(third, answer(0, "[]"));
        let (_, large) = shell.run("head -c 3000000 /dev/zero | tr '\\0' x", PATIENCE).await.unwrap();
        assert_eq!((large.code, large.said.len()), (0, 3_000_000));
    }
    let guest = Ssh { user: Some("guest".to_owned()), ..ssh.clone() };
    let refused = Shell::open(&guest, "host").await.map(drop).unwrap_err();
    assert!(matches!(refused, ShellError::NoSudo), "{refused}");
    // One that doesn't answer is not waited for; what it was told is done all the same.
    let shell = Shell::open(&ssh, "host").await.unwrap();
    let mark = host.file("late");
    let late = format!("sleep 2; echo >{}", mark.display());
    let failed = shell.run(&late, Duration::from_millis(300)).await.map(drop).unwrap_err();
    assert!(matches!(failed, ShellError::Late { .. }), "{failed}");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(mark.exists());
}

#[tokio::test]
async fn a_shell_whose_link_breaks_says_so() {
    let Some(lab) = lab() else { return };
    let host = lab.host("host", Sort::default());
    let ssh = Ssh { config: Some(lab.path().join("ssh_config")), ..Ssh::default() };
    let shell = Shell::open(&ssh, "host").await.unwrap();
    let (shell, _) = shell.run("true", PATIENCE).await.unwrap();
    host.cut_after(1);
    let failed = shell.run("echo not heard", PATIENCE).await.map(drop).unwrap_err();
    assert!(matches!(failed, ShellError::Broke { .. }), "{failed}");
    // The link is whole again: a new one answers.
    let shell = Shell::open(&ssh, "host").await.unwrap();
    assert_eq!(shell.run("echo heard", PATIENCE).await.unwrap().1, answer(0, "heard"));
}
