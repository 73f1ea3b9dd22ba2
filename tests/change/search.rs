//! Searches what comes of a script that is cut off: each instant of each run, and of what a deployer does then.
//!
//! Each instant is one of a machine whose script was killed, and, in all ways that its disk allows, one of a machine that lost
//! power. From each of them it must be brought to a good end by whatever a deployer may do that looks at it.

use super::shell::{Goal, Lab, Run, Until};
use super::stand_in::{How, Late, Outcome};
use super::world::{System, World};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How calls may go for a goal while nobody crashes.
fn outcomes(goal: Goal) -> Vec<Outcome> {
    let well = Outcome::WELL;
    let boots = [
        Outcome { profile: How::Fails, ..well },
        Outcome { profile: How::Half, ..well },
        Outcome { entry: How::Half, ..well },
    ];
    let switches = [
        Outcome { forth: How::Fails, ..well },
        Outcome { forth: How::Half, ..well },
        Outcome { forth: How::Worse, ..well },
        Outcome { forth: How::NoWorse, ..well },
        Outcome { forth: How::Half, back: How::Fails, ..well },
        Outcome { forth: How::Half, back: How::Half, ..well },
        Outcome { is_reached: false, ..well },
        Outcome { is_reached: false, back: How::Fails, ..well },
    ];
    let backs = [Outcome { back: How::Fails, ..well }, Outcome { back: How::Half, ..well }];
    let late = Outcome { late: Late::AtOnce, ..well };
    let others = match goal {
        Goal::Try("missing") => Vec::new(),
        Goal::Try(_) => [&switches[..], &[late, Outcome { late: Late::AtLast, ..well }]].concat(),
        Goal::TryBeside(_) => switches.to_vec(),
        Goal::Keep(_) => [&switches[..], &boots].concat(),
        Goal::Confirm => boots.to_vec(),
        Goal::Revert => [&backs[..], &boots, &[late]].concat(),
    };
    [vec![well], others].concat()
}

/// A run of the script that is to be.
struct Job {
    begun: World,
    goal: Goal,
    outcome: Outcome,
    /// How the machine came to that.
    way: String,
}

/// A machine in a crash, and how it came there.
type Crashed = (World, String);

/// The search of one script.
pub(crate) struct Search<'a> {
    script: &'a str,
    /// How closely it is looked at while nobody has crashed yet.
    until: Until,
    labs: Vec<Lab>,
    /// What was run: nothing is run twice.
    runs: Mutex<HashMap<(World, Goal, Outcome), Run>>,
    /// Crashes that are known.
    crashes: HashSet<World>,
    /// The search ends with the first harm.
    is_found: AtomicBool,
    harm: Mutex<Vec<String>>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(root: &Path, script: &'a str, until: Until) -> Self {
        Lab::systems(root);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let labs = (0..threads).map(|number| Lab::new(root, &format!("lab-{number}"))).collect();
        let (runs, crashes, is_found, harm) = Default::default();
        Self { script, until, labs, runs, crashes, is_found, harm }
    }

    /// What is wrong after at most two crashes, where the second is one of so many, spread over all that there are. Where all are
    /// wanted, calls fail after a crash as well.
    pub(crate) fn harm(mut self, pairs: usize) -> Vec<String> {
        let begun = self.all(&goals_after("", &World::first()), |lab, job| self.run(lab, job, self.until));
        let mut ends = HashSet::new();
        let trials = begun.iter().filter(|(_, run)| run.end.is_on_trial() && ends.insert(&run.end));
        let jobs: Vec<Job> = trials.flat_map(|(way, run)| goals_after(way, &run.end)).collect();
        let mut first = self.crashed(&begun);
        let mut settled = self.all(&first, |lab, (world, way)| self.settle(lab, world, way));
        let judged = self.crashed(&self.all(&jobs, |lab, job| self.run(lab, job, self.until)));
        settled.extend(self.all(&judged, |lab, (world, way)| self.settle(lab, world, way)));
        first.extend(judged);
        if pairs == usize::MAX {
            // What fails on a machine that crashed before, once whoever is away was started as it lies.
            let failing = first.iter().flat_map(|(world, way)| goals_after(way, &world.clone().started()));
            let failing: Vec<Job> = failing.collect();
            self.all(&failing, |lab, job| drop(self.run(lab, job, Until::EndUntraced)));
        }
        let second = self.crashed(&settled.concat());
        let step = second.len().div_ceil(pairs.max(1)).max(1);
        let sample: Vec<&Crashed> = second.iter().step_by(step).take(pairs).collect();
        self.all(&sample, |lab, (world, way)| self.settle(lab, world, way));
        let runs = self.runs.into_inner().unwrap().len();
        println!(
            "{runs} runs, {} crashes, {} and {} of them second ones",
            first.len() + second.len(),
            second.len(),
            sample.len()
        );
        self.harm.into_inner().unwrap()
    }

    /// Does each on one of the threads, until harm is found.
    fn all<T: Sync, R: Send>(&self, items: &[T], deed: impl Fn(&Lab, &T) -> R + Sync) -> Vec<R> {
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for lab in &self.labs {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(number).filter(|_| !self.is_found.load(Ordering::Relaxed))
                        else {
                            break;
                        };
                        let did = deed(lab, item);
                        done.lock().unwrap().push((number, did));
                    }
                });
            }
        });
        // In the order of the items, whoever was first.
        let mut done = done.into_inner().unwrap();
        done.sort_by_key(|(number, _)| *number);
        done.into_iter().map(|(_, did)| did).collect()
    }

    fn wrong(&self, way: &str, what: &str) {
        self.is_found.store(true, Ordering::Relaxed);
        self.harm.lock().unwrap().push(format!("{what}: {way}"));
    }

    /// Runs the script to its end, judges that, and returns it with the way there.
    fn run(&self, lab: &Lab, job: &Job, until: Until) -> (String, Run) {
        let Job { begun, goal, outcome, way } = job;
        let way = match *outcome == Outcome::WELL {
            true => format!("{way} {goal:?}"),
            false => format!("{way} {goal:?} with {outcome:?}"),
        };
        let begun = begin(begun, *goal);
        let key = (begun.clone(), *goal, *outcome);
        let known = self.runs.lock().unwrap().get(&key).cloned();
        if let Some(run) = known {
            return (way, run);
        }
        let mut run = lab.run(self.script, &begun, *goal, *outcome, until);
        end(&mut run, *goal);
        if let Err(what) = judge(&begun, *goal, *outcome, &run) {
            self.wrong(&way, &format!("it says {:?}, and {what}", run.phase));
        }
        self.runs.lock().unwrap().insert(key, run.clone());
        (way, run)
    }

    /// The crashes of these runs that aren't known yet.
    fn crashed(&mut self, runs: &[(String, Run)]) -> Vec<Crashed> {
        let mut crashed = Vec::new();
        for (way, run) in runs {
            for (number, instant) in run.instants.iter().enumerate() {
                let killed = instant.clone().at_rest();
                let cut = killed.after_cut();
                for world in cut.iter().filter(|world| !killed.may_boot.contains(world.current)) {
                    let what = format!("it boots {}, not one of {:?}", world.current, killed.may_boot);
                    self.wrong(&format!("{way}, cut at {number}"), &what);
                }
                let cut = cut.into_iter().map(|world| (world.at_rest(), "cut"));
                for (world, how) in [(killed, "killed")].into_iter().chain(cut) {
                    if self.crashes.insert(world.clone()) {
                        let way = format!("{way}, {how} at {number};");
                        if let Err(text) = world.trial() {
                            self.wrong(&way, &format!("nobody can read the trial {text:?}"));
                        }
                        crashed.push((world, way));
                    }
                }
            }
        }
        crashed
    }

    /// Does whatever a deployer may do that looks at a machine, each from how it is now, and returns the runs of that.
    fn settle(&self, lab: &Lab, world: &World, way: &str) -> Vec<(String, Run)> {
        let tell = |world: &World, goal, way: &str| {
            let job = Job { begun: world.clone(), goal, outcome: Outcome::WELL, way: way.to_owned() };
            self.run(lab, &job, Until::EndUntraced)
        };
        // `Machine::apply`, and either judgement of that.
        let (tried, on_trial) = tell(world, Goal::Try("new"), way);
        let confirmed = tell(&on_trial.end, Goal::Confirm, &tried);
        let reverted = tell(&on_trial.end, Goal::Revert, &tried);
        let mut runs = vec![(tried, on_trial), confirmed, reverted];
        // Whoever is away is started as it lies before anything is judged.
        let started = world.clone().started();
        if !started.all_run() {
            self.wrong(way, &format!("not all can be started as they lie: {world:?}"));
        }
        // `Machine::confirm`, `Machine::revert` and `Machine::install`: what isn't on trial is settled for the former two.
        if world.is_on_trial() {
            runs.push(tell(&started, Goal::Confirm, way));
            runs.extend([Goal::Revert, Goal::TryBeside("beside")].map(|goal| tell(world, goal, way)));
        } else {
            if !world.is_settled_on(world.current) {
                self.wrong(way, &format!("nothing is on trial, and it isn't settled: {world:?}"));
            }
            runs.push(tell(world, Goal::Keep("beside"), way));
        }
        runs
    }
}

/// Whatever a machine may be told next, with all that may come of that.
fn goals_after(way: &str, world: &World) -> Vec<Job> {
    let goals: &[Goal] = match world.is_on_trial() {
        true => &[Goal::Confirm, Goal::Revert, Goal::Try("newer"), Goal::TryBeside("beside")],
        false => &[Goal::Try("missing"), Goal::Try("new"), Goal::Keep("beside")],
    };
    let job = |goal, outcome| Job { begun: world.clone(), goal, outcome, way: way.to_owned() };
    let with = |goal| outcomes(goal).into_iter().map(move |outcome| (goal, outcome));
    goals.iter().copied().flat_map(with).map(|(goal, outcome)| job(goal, outcome)).collect()
}

/// What it may boot while that is done.
fn begin(world: &World, goal: Goal) -> World {
    let mut world = world.clone().at_rest();
    let may_boot: Option<System> = match goal {
        Goal::Confirm => Some(world.current),
        Goal::Keep(system) => Some(system),
        Goal::Revert | Goal::Try(_) | Goal::TryBeside(_) => Some(world.settled),
    };
    world.may_boot.extend(may_boot);
    world
}

/// What it may boot after that.
fn end(run: &mut Run, goal: Goal) {
    let end = &mut run.end;
    let settled = match (run.phase.as_str(), goal) {
        ("done", Goal::Confirm | Goal::Keep(_)) => Some(end.current),
        ("done", Goal::Revert) | ("broken", _) => Some(end.settled),
        _ => None,
    };
    if let Some(system) = settled {
        end.settled = system;
        end.may_boot = [system].into();
    }
    run.instants.push(end.clone());
}

/// Whether what a script said is so.
fn judge(begun: &World, goal: Goal, outcome: Outcome, run: &Run) -> Result<(), String> {
    let end = &run.end;
    let on_trial = begun.is_on_trial();
    let so = |is: bool, what: &str| if is { Ok(()) } else { Err(format!("{what}: {end:?}")) };
    so(end.is_marked("d"), "it has unmarked who was stopped")?;
    if let Some(system) = goal.wanted() {
        let known = |instant: &World| instant.current != system || instant.knows_last(system);
        so(
            begun.current == system || run.instants.iter().all(known),
            "it doesn't know what it was changed to",
        )?;
        let is_well = matches!(outcome.forth, How::Well | How::NoWorse) && outcome.is_reached;
        so(is_well || run.phase != "done", "it isn't well")?;
    }
    match run.phase.as_str() {
        "done" => match goal {
            Goal::Try(system) | Goal::TryBeside(system) => {
                so(end.current == system, "it doesn't run what is on trial")?;
                so(end.is_on_trial() || end.settled == system, "it isn't on trial")?;
                let old = end.trial().ok().flatten().map(|[old, ..]| old);
                so(
                    old.is_some_and(|old| old.ends_with(&format!("/{}", begun.settled))),
                    "it doesn't know to where back",
                )?;
                let anew = matches!(goal, Goal::Try(_));
                so(!anew || end.all_run(), "not all run")?;
                so(!anew || end.starts_at_boot("e"), "who was started may not start at boot")
            }
            Goal::Keep(system) => so(end.is_settled_on(system), "it isn't settled on what it keeps"),
            Goal::Confirm => {
                so(end.current == begun.current && end.runs == begun.runs, "it has changed")?;
                so(!on_trial || end.is_settled_on(end.current), "it isn't settled on what it confirmed")
            }
            Goal::Revert if on_trial => {
                so(end.is_settled_on(begun.settled), "it isn't settled on what it ran before")?;
                so(end.all_run(), "not all run")
            }
            Goal::Revert => so(end.current == begun.current && end.runs == begun.runs, "it has changed"),
        },
        "late" | "refused" => {
            so(end.current == begun.current && end.runs == begun.runs, "it has changed")?;
            so(end.is_on_trial() == on_trial, "what is on trial has changed")?;
            so(
                !begun.can_go_back() || end.text("trial") == begun.text("trial"),
                "what is on trial has changed",
            )
        }
        "broken" => {
            so(outcome.forth != How::Well || !outcome.is_reached, "nothing broke")?;
            so(end.is_settled_on(begun.settled), "it isn't settled on what it ran before")?;
            so(end.all_run(), "not all run")
        }
        "stuck" => {
            so(outcome != Outcome::WELL, "nothing stuck")?;
            so(end.is_on_trial(), "nothing is on trial for the next to settle")
        }
        phase => Err(format!("it ends with {phase:?}: {end:?}")),
    }
}
