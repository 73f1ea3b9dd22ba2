//! What the script calls on a machine, instead of the programs that are there: each act is noted by itself, so that one can be
//! cut off in its middle.
//!
//! Left out: a node that fails by itself or doesn't end when it is asked to, mounts, users, and all services that aren't nodes
//! but one. Real of `switch-to-configuration test` is the order: what changes is stopped, the system becomes the current one,
//! and all that is wanted and doesn't run is started, since the active targets are.

use super::world::{Kept, System, World, nodes, system_at};

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum How {
    Well,
    /// It fails and changes nothing.
    Fails,
    /// It fails once it has changed what is there.
    Half,
    /// It says that services failed, of which one did.
    Worse,
    /// It says so of services that had failed before.
    NoWorse,
}

/// How everything goes that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Outcome {
    /// The switch to what is to be run.
    pub(crate) forth: How,
    /// Any other switch.
    pub(crate) back: How,
    pub(crate) profile: How,
    pub(crate) entry: How,
    /// Somebody reaches the machine once it has changed.
    pub(crate) is_reached: bool,
    pub(crate) late: Late,
}

/// When deadlines have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Late {
    Never,
    AtOnce,
    /// Just before the first node is stopped.
    AtLast,
}

impl Outcome {
    /// Nothing fails.
    pub(crate) const WELL: Self = Self {
        forth: How::Well,
        back: How::Well,
        profile: How::Well,
        entry: How::Well,
        is_reached: true,
        late: Late::Never,
    };
}

/// What is told a call, and whatever the world is meanwhile.
pub(crate) struct StandIns<'a> {
    pub(crate) world: World,
    /// What is to be run, where the script is told.
    pub(crate) wanted: Option<System>,
    pub(crate) outcome: Outcome,
    /// Something that isn't a node has failed.
    pub(crate) has_failed: bool,
    /// Notes what the world is.
    pub(crate) note: &'a mut dyn FnMut(&World),
}

/// What a call does besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Also {
    Nothing,
    /// Time passes.
    Wait,
    /// The list of what failed was asked for.
    Listed,
    /// The current system or the profile is another.
    Moved,
}

impl StandIns<'_> {
    fn act(&mut self, act: impl FnOnce(&mut World)) {
        act(&mut self.world);
        (self.note)(&self.world);
    }

    /// The exit code, what is said, and what there is to do besides.
    pub(crate) fn call(&mut self, words: &[&str]) -> (u8, String, Also) {
        let node = |unit: &str| {
            let name = unit.strip_prefix("octad-")?.strip_suffix(".service")?;
            nodes("newer").into_keys().find(|node| *node == name)
        };
        match words {
            ["systemctl", "show", .., unit] => {
                let runs = node(unit).is_some_and(|node| self.world.runs.contains_key(node));
                (0, format!("{}\\n0\\n", if runs { 42 } else { 0 }), Also::Nothing)
            }
            ["systemctl", "list-units", ..] => {
                let failed = ["octad-b.service loaded failed\\n", "x.service loaded failed\\n"];
                let failed = &failed[..if self.has_failed { 2 } else { 1 }];
                (0, failed.concat(), Also::Listed)
            }
            ["systemctl", verb @ ("start" | "stop"), .., unit] => {
                let node = node(unit).expect("only nodes are started and stopped");
                self.act(|world| match *verb {
                    "start" => world.start(node),
                    _ => world.stop(node),
                });
                (0, String::new(), Also::Nothing)
            }
            ["systemctl", "thaw" | "reset-failed", _] => (0, String::new(), Also::Nothing),
            ["sync"] => {
                self.act(World::sync);
                (0, String::new(), Also::Nothing)
            }
            ["sync", path] => {
                let (_, path) = path.split_once("/state").expect("only its own files are synced one by one");
                let path = path.trim_start_matches('/');
                let is_directory = path.is_empty() || path == "stopped";
                self.act(|world| match is_directory {
                    true => world.sync_directory(path),
                    false => world.sync_file(path),
                });
                (0, String::new(), Also::Nothing)
            }
            ["sleep", _] => (0, String::new(), Also::Wait),
            ["nix-env", "--profile", _, "--set", path] => {
                let (how, system) = (self.outcome.profile, system_at(path).expect("it is a system"));
                if how != How::Fails {
                    self.act(|world| world.profile = Kept { written: system, ..world.profile });
                }
                (u8::from(how != How::Well), String::new(), Also::Moved)
            }
            ["switch", path, "boot"] => {
                let system = system_at(path.trim_end_matches("/bin/switch-to-configuration")).expect("it is");
                let how = self.outcome.entry;
                if how != How::Fails {
                    self.act(|world| world.entry = Kept { written: system, ..world.entry });
                }
                (u8::from(how != How::Well), String::new(), Also::Nothing)
            }
            ["switch", path, "test"] => {
                let system = system_at(path.trim_end_matches("/bin/switch-to-configuration")).expect("it is");
                let how = if self.wanted == Some(system) { self.outcome.forth } else { self.outcome.back };
                (self.switch(system, how), "it said so\\n".into(), Also::Moved)
            }
            _ => panic!("nothing stands for {words:?}"),
        }
    }

    /// Runs a system, and returns the exit code.
    fn switch(&mut self, system: System, how: How) -> u8 {
        if how == How::Fails {
            return 1;
        }
        let documents = nodes(system);
        for node in self.world.runs.clone().into_keys() {
            if documents.get(node) != nodes(self.world.current).get(node) {
                self.act(|world| world.stop(node));
            }
        }
        self.act(|world| world.current = system);
        if how == How::Half {
            return 1;
        }
        for node in documents.into_keys() {
            self.act(|world| world.start(node));
        }
        self.has_failed |= how == How::Worse;
        if how == How::Well { 0 } else { 4 }
    }
}
