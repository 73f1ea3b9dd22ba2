//! A child process: forked so that it can't outlive the supervisor, watched without races of pids.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
};

use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, getppid, kill_process, kill_process_group, pidfd_open,
    set_parent_process_death_signal, setpriority_process,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::unix::pipe,
};

use super::exit::Exit;

/// How kindly a process treats the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// The supervisor's own.
    Inherited,
    /// Nice 19: work that nobody waits for.
    Background,
}

/// A child in a process group of its own. Dropping it kills and reaps the group.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pid: Pid,
    /// Readable once the child has ended, and that is before it is reaped: until then the pid is its own.
    ended: AsyncFd<OwnedFd>,
    reaped: bool,
}

impl Process {
    /// Forks `command` with an empty standard input; its output and errors come through the pipe.
    ///
    /// The calling thread must be one that lives as long as the supervisor: the kernel kills the child when
    /// the *thread* that forked it ends.
    pub(super) fn spawn(mut command: Command, priority: Priority) -> io::Result<(Self, pipe::Receiver)> {
        let (output, input) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input).process_group(0);
        die_with_the_supervisor(&mut command, priority);
        let mut child = command.spawn()?;
        // The command holds our copies of the pipe's writing end; with them open there is no end of file.
        drop(command);
        let pid = Pid::from_child(&child);
        let ended = watch(pid).inspect_err(|_| {
            // Unwatched it can't be kept; the first error is the one that counts.
            let _ = child.kill().and_then(|()| child.wait());
        })?;
        let process = Self { child, pid, ended, reaped: false };
        let output = pipe::Receiver::from_owned_fd(output.into())?;
        Ok((process, output))
    }

    /// Its pid.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended; it is then still to be reaped. May be dropped and called again.
    pub(super) async fn ended(&self) {
        if self.ended.readable().await.is_err() {
            // Only a runtime that is shutting down refuses; it polls nobody again.
            std::future::pending::<()>().await;
        }
    }

    /// Signals the process alone.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.pid, signal)?)
    }

    /// Asks the process and whatever it has started in its group to end, as systemd does: a stopped process
    /// is continued, since it could not answer otherwise.
    pub(super) fn terminate(&self) {
        self.signal_group(Signal::TERM);
        self.signal_group(Signal::CONT);
    }

    /// Kills the process and its group.
    pub(super) fn kill(&self) {
        self.signal_group(Signal::KILL);
    }

    /// Reaps the process, which has [`ended`](Self::ended), and kills what it leaves behind in its group.
    pub(super) fn reap(mut self) -> Exit {
        self.kill_and_wait()
    }

    fn kill_and_wait(&mut self) -> Exit {
        self.kill();
        self.reaped = true;
        match self.child.wait() {
            Ok(status) => status.into(),
            Err(error) => Exit::NotStarted { reason: format!("its end was missed: {error}") },
        }
    }

    fn signal_group(&self, signal: Signal) {
        // The group has at least its unreaped leader, so this can fail for no reason that matters.
        let _ = kill_process_group(self.pid, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill_and_wait();
        }
    }
}

/// A descriptor of the unreaped child `pid` that becomes readable when the child ends.
fn watch(pid: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    let descriptor = pidfd_open(pid, PidfdFlags::empty())?;
    // SAFETY: an `OwnedFd` is open and stays the same descriptor until it is dropped, and nothing takes it
    // out of the `AsyncFd`.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}

fn die_with_the_supervisor(command: &mut Command, priority: Priority) {
    let supervisor = getpid();
    let before_exec = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() != Some(supervisor) {
            // It died between the fork and the line above: the signal will never come.
            return Err(rustix::io::Errno::SRCH.into());
        }
        if priority == Priority::Background {
            setpriority_process(None, 19)?;
        }
        Ok(())
    };
    // SAFETY: runs between fork and exec, where only async-signal-safe calls are allowed. It makes system
    // calls and touches copied integers; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(before_exec) };
}
