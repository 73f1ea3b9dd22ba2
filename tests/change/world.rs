//! A machine as far as a change of its system concerns it. Left out: everything that a system is besides the services of its
//! nodes, and how long anything takes.

use std::collections::{BTreeMap, BTreeSet};

/// A system, by its name.
pub(crate) type System = &'static str;
/// A node, by its name.
pub(crate) type Node = &'static str;

/// The systems, each with its nodes and which document each has there. `new` begins all but `b` anew, `newer` is what an edit
/// of that gives, and `beside` has a node more than `old` and begins nobody anew.
pub(crate) const SYSTEMS: [(System, &[(Node, u8)]); 4] = [
    ("old", &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]),
    ("new", &[("a", 2), ("b", 1), ("c", 2), ("d", 2), ("e", 2), ("f", 1)]),
    ("newer", &[("a", 3), ("b", 1), ("c", 2), ("d", 2), ("e", 2), ("f", 1)]),
    ("beside", &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1), ("f", 1)]),
];

/// The nodes of a system, with their documents.
pub(crate) fn nodes(system: System) -> BTreeMap<Node, u8> {
    let (_, nodes) = SYSTEMS.iter().find(|(name, _)| *name == system).expect("it is one of them");
    nodes.iter().copied().collect()
}

/// The system that a path leads to.
pub(crate) fn system_at(path: &str) -> Option<System> {
    let name = path.rsplit('/').next().unwrap_or_default();
    SYSTEMS.iter().map(|(system, _)| *system).find(|system| *system == name)
}

/// What is written, and what of it a power cut certainly leaves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Kept<T> {
    pub(crate) written: T,
    pub(crate) durable: T,
}

impl<T: Clone + PartialEq> Kept<T> {
    pub(crate) fn of(value: T) -> Self {
        Self { written: value.clone(), durable: value }
    }

    /// What may be there after a power cut.
    fn after_cut(&self) -> Vec<T> {
        let mut either = vec![self.durable.clone()];
        either.extend((self.written != self.durable).then(|| self.written.clone()));
        either
    }
}

/// A machine at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// Which boot it is in.
    pub(crate) boot: u8,
    /// What it runs.
    pub(crate) current: System,
    pub(crate) profile: Kept<System>,
    /// What its boot loader boots.
    pub(crate) entry: Kept<System>,
    /// The files of `/var/lib/octad-deploy`, by their paths there.
    pub(crate) files: BTreeMap<String, Kept<Option<String>>>,
    /// Texts that are on the disk, whatever leads to them.
    pub(crate) synced: BTreeSet<String>,
    /// The nodes that run, with the documents that they were begun with.
    pub(crate) runs: BTreeMap<Node, u8>,
    /// What it is to run and boot once more where a trial isn't confirmed: no script knows of this.
    pub(crate) settled: System,
    /// What a power cut may have it boot. The same.
    pub(crate) may_boot: BTreeSet<System>,
}

impl World {
    /// Settled on `old`, where two nodes were stopped for good.
    pub(crate) fn first() -> Self {
        let mark = |node| (format!("stopped/{node}"), Kept::of(Some(String::new())));
        let world = Self {
            boot: 1,
            current: "old",
            profile: Kept::of("old"),
            entry: Kept::of("old"),
            files: ["d", "e"].map(mark).into(),
            synced: [String::new()].into(),
            runs: BTreeMap::new(),
            settled: "old",
            may_boot: ["old"].into(),
        };
        world.started()
    }

    /// Takes note of what its files are by now.
    pub(crate) fn see(&mut self, files: &BTreeMap<String, String>) {
        for (path, kept) in &mut self.files {
            kept.written = files.get(path).cloned();
        }
        for (path, text) in files {
            if !self.files.contains_key(path) {
                let kept = Kept { written: Some(text.clone()), durable: None };
                self.files.insert(path.clone(), kept);
            }
        }
        self.tidy();
    }

    /// Forgets what can make no difference any more.
    fn tidy(&mut self) {
        self.files.retain(|_, kept| kept.written.is_some() || kept.durable.is_some());
        let written: BTreeSet<&String> =
            self.files.values().filter_map(|kept| kept.written.as_ref()).collect();
        self.synced.retain(|text| written.contains(text));
    }

    /// As it is to be judged once nothing is under way: where nothing is on trial, it boots what it runs. The script reads
    /// neither what it was changed to last nor files that were to get their names yet, and the next ones take their place.
    pub(crate) fn at_rest(mut self) -> Self {
        self.files.retain(|path, _| path != "last" && !path.ends_with(".new"));
        self.tidy();
        if !self.can_go_back() {
            self.settled = self.current;
            self.may_boot = [self.current].into();
        }
        self
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.written.as_deref()
    }

    /// `sync` of a file: its text is on the disk, not yet its name.
    pub(crate) fn sync_file(&mut self, path: &str) {
        if let Some(text) = self.text(path).map(str::to_owned) {
            self.synced.insert(text);
        }
    }

    /// `sync` of a directory, empty for the topmost: what is in it is there, but empty where its text isn't on the disk.
    pub(crate) fn sync_directory(&mut self, directory: &str) {
        for (path, kept) in &mut self.files {
            if path.rsplit_once('/').map_or("", |(above, _)| above) == directory {
                let on_disk = |text: &String| match self.synced.contains(text) {
                    true => text.clone(),
                    false => String::new(),
                };
                kept.durable = kept.written.as_ref().map(on_disk);
            }
        }
        self.tidy();
    }

    /// `sync` of everything.
    pub(crate) fn sync(&mut self) {
        self.profile = Kept::of(self.profile.written);
        self.entry = Kept::of(self.entry.written);
        for kept in self.files.values_mut() {
            self.synced.extend(kept.written.clone());
            kept.durable.clone_from(&kept.written);
        }
        self.tidy();
    }

    pub(crate) fn is_marked(&self, node: Node) -> bool {
        self.text(&format!("stopped/{node}")).is_some()
    }

    /// Whether it isn't marked, whenever power is cut.
    pub(crate) fn starts_at_boot(&self, node: Node) -> bool {
        !self.files.contains_key(&format!("stopped/{node}"))
    }

    /// Starts a node of the system that it runs; not one that is marked.
    pub(crate) fn start(&mut self, node: Node) {
        if let Some(document) = nodes(self.current).get(node)
            && !self.is_marked(node)
        {
            self.runs.entry(node).or_insert(*document);
        }
    }

    pub(crate) fn stop(&mut self, node: Node) {
        self.runs.remove(node);
    }

    /// With all started that don't run and should.
    pub(crate) fn started(mut self) -> Self {
        nodes(self.current).into_keys().for_each(|node| self.start(node));
        self
    }

    /// Whether each node that isn't stopped for good runs, with what the system has for it.
    pub(crate) fn all_run(&self) -> bool {
        let wanted: BTreeMap<Node, u8> =
            nodes(self.current).into_iter().filter(|(node, _)| !self.is_marked(node)).collect();
        self.runs == wanted
    }

    /// The four words of what is on trial: what it ran before, what it is to run, in which boot, and what it ran on trial until
    /// then; an error where a deployer couldn't read them.
    pub(crate) fn trial(&self) -> Result<Option<[String; 4]>, String> {
        let Some(text) = self.text("trial") else { return Ok(None) };
        let words: Vec<String> = text.trim_end_matches('\n').split(' ').map(str::to_owned).collect();
        words.try_into().map(Some).map_err(|_| text.to_owned())
    }

    /// As `Look::is_on_trial` has it.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.text("boots").is_some() || self.can_go_back()
    }

    /// Whether it knows of this boot what it ran before.
    pub(crate) fn can_go_back(&self) -> bool {
        let Ok(Some([old, new, boot, before])) = self.trial() else { return false };
        boot == self.boot.to_string()
            && [&old, &new, &before].iter().any(|path| system_at(path) == Some(self.current))
    }

    /// Whether it is noted, whenever power is cut, that it was changed to this last: who finds it on another then knows that it
    /// has gone back.
    pub(crate) fn knows_last(&self, system: System) -> bool {
        let last = self.files.get("last").and_then(|kept| kept.durable.as_deref());
        last.is_some_and(|last| system_at(last.trim_end()) == Some(system))
    }

    /// Whether it runs and boots this system for good, whenever power is cut.
    pub(crate) fn is_settled_on(&self, system: System) -> bool {
        self.current == system
            && self.profile == Kept::of(system)
            && self.entry == Kept::of(system)
            && !self.is_on_trial()
    }

    /// How the machine may be after a power cut, once it has booted.
    pub(crate) fn after_cut(&self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        let mut each = |set: &dyn Fn(&Self) -> Vec<Self>| all = all.iter().flat_map(set).collect();
        each(&|world| {
            let profile = |profile| Self { profile: Kept::of(profile), ..world.clone() };
            world.profile.after_cut().into_iter().map(profile).collect()
        });
        each(&|world| {
            let entry = |entry| Self { entry: Kept::of(entry), ..world.clone() };
            world.entry.after_cut().into_iter().map(entry).collect()
        });
        for path in self.files.keys() {
            each(&|world| {
                let with = |text| {
                    let mut world = world.clone();
                    world.files.insert(path.clone(), Kept::of(text));
                    world
                };
                let kept = &world.files[path];
                let torn = kept.written.as_ref().is_some_and(|text| !world.synced.contains(text));
                let torn = (torn && kept.written != kept.durable).then(|| with(Some(String::new())));
                kept.after_cut().into_iter().map(with).chain(torn).collect()
            });
        }
        all.into_iter().map(Self::booted).collect()
    }

    fn booted(mut self) -> Self {
        let told: Vec<String> =
            self.files.values().flat_map(|kept| [&kept.written, &kept.durable]).flatten().cloned().collect();
        let is_free =
            |boot: &u8| *boot != self.boot && !told.iter().any(|text| text.contains(&format!(" {boot} ")));
        self.boot = (1..).find(is_free).expect("there are few files");
        self.current = self.entry.written;
        self.runs.clear();
        self.tidy();
        self.started()
    }
}
