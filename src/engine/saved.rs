//! Plans in files: made by one run, consented to by whoever reads them, carried out by another run.
//!
//! A saved plan is never carried out itself. The later run observes, plans and checks anew, and goes on only where the
//! state has the same serial and the new plan does the same to the same resources: that is what binds it to the cluster
//! as it was observed. A digest of the observation would bind it more tightly than is of use, since uptimes and leaders
//! change all the time, and less safely, since only a fresh plan has been checked against what is there now. The order
//! is not compared: a plan fixes what is changed and into what, and each turn of a roll is chosen when it comes.

use super::Selection;
use super::format::format_of;
use super::plan::{Action, Checked, Draft, Plan, Step};
use crate::hex::hex;
use crate::model::Key;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Version of the document.
pub const PLAN_FORMAT: u32 = 3;

/// A plan as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedPlan {
    path: PathBuf,
    plan: Plan<Draft>,
    /// Those of the phases behind it, as they were foreseen.
    later: Vec<Plan<Draft>>,
}

/// The document. Its digest is that of the other fields; it finds out slips and edits, and is no signature: whoever can
/// write the file can also reckon it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    plan: Plan<Draft>,
    #[serde(default)]
    later: Vec<Plan<Draft>>,
    digest: String,
}

/// Why a saved plan is not used.
#[derive(Debug, thiserror::Error)]
pub enum SavedPlanError {
    /// It can't be read.
    #[error("could not read the plan {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It can't be written.
    #[error("could not save the plan to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} is not a saved plan", path.display())]
    NotAPlan {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Another Octad wrote it.
    #[error("the plan {} has format {found}, and this Octad knows format {PLAN_FORMAT}", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It is not as it was saved.
    #[error("the plan {} was edited or damaged since it was saved: its digest doesn't match", path.display())]
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// It is for another stack.
    #[error("the plan {} is for the stack `{found}`, not for `{wanted}`", path.display())]
    OtherStack {
        /// The file.
        path: PathBuf,
        /// The stack that it names.
        found: String,
        /// The stack that was asked for.
        wanted: String,
    },
    /// What it was made from is not so any more.
    #[error("the plan {} is stale", path.display())]
    Stale {
        /// The file.
        path: PathBuf,
        /// In what.
        #[source]
        differences: Differences,
    },
}

/// In what a saved plan and the present differ; one sentence each, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differences(pub Vec<String>);

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first few tell what kind of difference it is.
        f.write_str(&self.0.iter().take(8).cloned().collect::<Vec<_>>().join("\n"))?;
        match self.0.len().saturating_sub(8) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Differences {}

impl SavedPlan {
    /// Saves a plan, and those that are foreseen to follow it. A file that was cut off in the middle is not read as one.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn write(path: &Path, plan: &Plan<Checked>, later: &[Plan]) -> Result<(), SavedPlanError> {
        let content = json!({ "format": PLAN_FORMAT, "plan": plan, "later": later });
        let digest = digest(&content);
        let mut document = content;
        document["digest"] = digest.into();
        let mut text = serde_json::to_vec_pretty(&document).expect("a JSON value has only text keys");
        text.push(b'\n');
        std::fs::write(path, text).map_err(|source| SavedPlanError::Write { path: path.to_owned(), source })
    }

    /// Reads a plan that was saved for `stack`.
    ///
    /// # Errors
    /// Where it can't be read or is not what was saved for this stack.
    pub fn read(path: &Path, stack: &str) -> Result<Self, SavedPlanError> {
        let text =
            std::fs::read(path).map_err(|source| SavedPlanError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text, stack)
    }

    /// Reads a plan from `text`; `path` is only told in errors. Pure.
    ///
    /// # Errors
    /// As [`SavedPlan::read`].
    pub fn parse(path: &Path, text: &[u8], stack: &str) -> Result<Self, SavedPlanError> {
        let path = path.to_owned();
        let not_a_plan = |source| SavedPlanError::NotAPlan { path: path.clone(), source };
        let found = format_of(text).map_err(not_a_plan)?;
        if found != PLAN_FORMAT {
            return Err(SavedPlanError::OtherFormat { path, found });
        }
        let mut content: Value = serde_json::from_slice(text).map_err(not_a_plan)?;
        let document: Document = serde_json::from_value(content.clone()).map_err(not_a_plan)?;
        if let Some(fields) = content.as_object_mut() {
            fields.remove("digest");
        }
        if digest(&content) != document.digest {
            return Err(SavedPlanError::Edited { path });
        }
        if document.plan.stack != stack {
            let (found, wanted) = (document.plan.stack, stack.to_owned());
            return Err(SavedPlanError::OtherStack { path, found, wanted });
        }
        Ok(Self { path, plan: document.plan, later: document.later })
    }

    /// What the plan is confined to, and any plan that is to agree with it.
    pub fn selection(&self) -> &Selection {
        &self.plan.selection
    }

    /// What there is consent to interrupt: all that the plan tells that it interrupts.
    pub fn interrupts(&self) -> BTreeSet<String> {
        let steps = self.plans().flat_map(|plan| &plan.steps);
        steps.flat_map(|step| step.action.interrupts()).cloned().collect()
    }

    /// Of what there is consent to losses: all that the plan tells.
    pub fn losses(&self) -> BTreeSet<Key> {
        self.plans().flat_map(|plan| &plan.losses).map(|loss| loss.of.clone()).collect()
    }

    fn plans(&self) -> impl Iterator<Item = &Plan<Draft>> {
        std::iter::once(&self.plan).chain(&self.later)
    }

    /// Whether `plan`, made just now, and those that are foreseen to follow it do what these were to do.
    ///
    /// # Errors
    /// [`SavedPlanError::Stale`] with each difference.
    pub fn agrees_with<Stage>(&self, plan: &Plan<Stage>, later: &[Plan]) -> Result<(), SavedPlanError> {
        let mut differences = Vec::new();
        if self.plan.serial != plan.serial {
            differences.push(format!(
                "it was made at serial {} of the state, which is at {} by now: the stack was changed since",
                self.plan.serial, plan.serial
            ));
        }
        differences.extend(self::differences(&self.plan, plan, &|then, now| Some(then) == now));
        let hosts: BTreeSet<&Key> = self.plan.systems.keys().chain(plan.systems.keys()).collect();
        let others = hosts.into_iter().filter(|host| self.plan.systems.get(*host) != plan.systems.get(*host));
        differences.extend(others.map(|host| format!("{host}: another system is made for it now")));
        if self.later.len() != later.len() {
            let (then, now) = (self.later.len() + 1, later.len() + 1);
            differences.push(format!("it has {now} phases now, where it had {then}"));
        }
        for (then, now) in self.later.iter().zip(later) {
            differences.extend(self::differences(then, now, &|then, now| Some(then) == now));
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(SavedPlanError::Stale { path: self.path.clone(), differences: Differences(differences) })
    }
}

/// In what `plan` differs from the one that was told `before`, a sentence each. `alike` compares what a step was to bring its
/// resource to with what it brings it to now; `None` where no step changes it now.
pub(super) fn differences<Then, Now>(
    before: &Plan<Then>,
    plan: &Plan<Now>,
    alike: &dyn Fn(&Value, Option<&Value>) -> bool,
) -> Vec<String> {
    let (then, now) = (deeds(before), deeds(plan));
    let subjects: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let mut differences: Vec<String> = Vec::new();
    for subject in subjects {
        differences.extend(match (then.get(subject), now.get(subject)) {
            (Some((then, one)), Some((now, other))) if then == now && alike(one, Some(other)) => None,
            (Some((_, one)), None) if alike(one, None) => None,
            (Some((verb, _)), None) => {
                Some(format!("{subject}: nothing is to be done, where it was to {verb}"))
            }
            (None, Some((verb, _))) => {
                Some(format!("{subject}: is to {verb} now, where nothing was to be done"))
            }
            (Some((then, _)), Some((now, _))) if then == now => {
                Some(format!("{subject}: is to {now} in another way now"))
            }
            (Some((then, _)), Some((now, _))) => {
                Some(format!("{subject}: is to {now} now, where it was to {then}"))
            }
            (None, None) => None,
        });
    }
    let untold = plan.losses.difference(&before.losses);
    differences.extend(untold.map(|loss| format!("{}: it told nothing of {}", loss.of, loss.what)));
    differences
}

fn digest(content: &Value) -> String {
    let text = serde_json::to_vec(content).expect("a JSON value has only text keys");
    format!("sha256:{}", hex(Sha256::digest(text)))
}

/// What a plan does to each resource, in the form in which a file has it. To wait at a gate changes nothing.
fn deeds<Stage>(plan: &Plan<Stage>) -> BTreeMap<String, (&'static str, Value)> {
    let mut deeds = BTreeMap::new();
    for Step { action, .. } in &plan.steps {
        match action {
            Action::Gate { .. } => {}
            Action::Roll { .. } | Action::RollHosts { .. } => {
                let restarts =
                    action.restarts().map(|change| (change.key.to_string(), ("restart", json!(change))));
                deeds.extend(restarts);
            }
            other => drop(deeds.insert(other.subject(), (other.verb(), json!(other)))),
        }
    }
    deeds
}
