//! What the engine asks of a kind of resource.

use super::{
    Adopted, Decision, Disks, Drift, Instance, KindError, Loss, Observed, Recorded, Subject, Surroundings,
};
use crate::clock::Until;
use crate::model::{Key, ProcessSeen, Refusal};
use crate::role::GroupView;
use crate::tool::Lack;
use async_trait::async_trait;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A kind of resource, such as host, node or topic.
///
/// Those that aren't async are pure. The others act on the world, are idempotent, and are called by the engine only
/// within a journalled step (but for `observe`, `lacking` and `stage`, which change nothing that a stack owns).
#[async_trait]
pub trait Kind: Send + Sync {
    /// The kind's name, as it stands in keys.
    fn name(&self) -> &'static str;

    /// What is planned, recorded and compared of a resource that is declared so, references filled in as far as known: with
    /// all in it that this program makes of them, so that a program which makes something else of the same is seen to. As a
    /// rule what is declared. What was rendered is what it is. Pure.
    fn rendered(&self, inputs: Value) -> Value {
        inputs
    }

    /// Checks the form of declared inputs.
    fn validate(&self, inputs: &Value) -> Result<(), Malformed>;

    /// What only one resource of a stack may have (an address, a port of a host), each as it stands in a sentence. As a
    /// rule nothing.
    fn claims(&self, _inputs: &Value) -> Vec<String> {
        Vec::new()
    }

    /// A few words on what a resource with these inputs is, for people; references in them may not be known yet.
    fn describe(&self, _inputs: &Value) -> String {
        String::new()
    }

    /// The group that holds a resource which is not itself a member of it, such as a topic's cluster.
    fn held_by(&self, _inputs: &Value) -> Option<String> {
        None
    }

    /// What the declared resources of this kind are to be where they share something (topics: their brokers' disks), which
    /// no one of them can tell by itself. As a rule nothing is shared. Pure.
    fn fit(&self, _all: &Siblings<'_>) -> Fitted {
        Fitted::default()
    }

    /// Whether what stands on a resource with these inputs is changed with it as a whole, on trial until that is confirmed: a
    /// host with one configuration for all its nodes. Pure.
    fn changes_whole(&self, _inputs: &Value) -> bool {
        false
    }

    /// Whether one that is recorded with the inputs before is the one that is declared with those after, and is to be asked
    /// and told by the latter: what differs says only how it is reached. As a rule it isn't. Pure.
    fn is_same(&self, before: &Value, after: &Value) -> bool {
        let _ = (before, after);
        false
    }

    /// The resource that a resource with these inputs stands on: a node's host. As a rule none. Pure.
    fn stands_on(&self, _inputs: &Value) -> Option<Key> {
        None
    }

    /// Decides what is to be done with one resource.
    fn decide(&self, subject: &Subject<'_>) -> Decision;

    /// Whether a recorded resource holds what must not go only because it is no longer declared. Such a one is removed
    /// by `destroy`, or after somebody unprotected it by name.
    fn protects(&self, _recorded: &Recorded) -> bool {
        false
    }

    /// Whether a resource that is forgotten stays what it is. Another is made again, as if it had never held anything.
    fn outlives_its_record(&self) -> bool {
        false
    }

    /// Whether what was found is not the resource that the state knows, but another that has its name by now.
    fn is_another(&self, _recorded: &Recorded, _observed: &Observed) -> bool {
        false
    }

    /// What bringing a resource to its declared inputs lets go that is kept now.
    fn losses(&self, _subject: &Subject<'_>) -> Vec<Loss> {
        Vec::new()
    }

    /// What differs from the declaration and is left as it is, for people, a sentence each without the resource's name.
    fn leaves(&self, _subject: &Subject<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Whether a resource of this kind can go on under another name. Its inputs must then hold its name, so that the
    /// change of it is decided and made like any other; until it is made, the inputs recorded tell where the resource
    /// is.
    fn allows_rename(&self, key: &Key) -> Result<(), Refusal> {
        Err(Refusal {
            key: key.clone(),
            reason: format!("no {} can be renamed", self.name()),
            hint: "leave it its name".into(),
        })
    }

    /// What the state is to know of a declared resource that exists and that it has never heard of.
    fn import(&self, subject: &Subject<'_>) -> Result<Adopted, Refusal> {
        Err(Refusal {
            key: subject.key.clone(),
            reason: format!("a {} can't be imported", self.name()),
            hint: "`octad up` makes it".into(),
        })
    }

    /// The resource as it was found, where it tells of itself that it is the declared one, so that a state that knows nothing
    /// of it, or something older, may take it over. As a rule nothing tells that. Pure.
    fn adopts(&self, subject: &Subject<'_>) -> Option<Adopted> {
        let _ = subject;
        None
    }

    /// How a recorded resource differs from what was found.
    fn drift(&self, recorded: &Recorded, observed: &Observed) -> Drift {
        let _ = recorded;
        match observed {
            Observed::Absent => Drift::Impaired { how: "is gone".into() },
            Observed::Present { .. } => Drift::None,
            Observed::Unknown(why) => Drift::Unknown { why: why.clone() },
        }
    }

    /// What a resource with these inputs would tell of itself, as far as that is known before it is made.
    fn foreseen_outputs(&self, key: &Key, inputs: &Value) -> Value {
        let _ = (key, inputs);
        Value::Null
    }

    /// How a resource would be found `after` that, with these inputs, where it was found as `observed` before: from this the
    /// later phases of a plan are told.
    fn foreseen(&self, inputs: &Value, observed: &Observed, after: After<'_>) -> Observed {
        let _ = (inputs, after);
        match observed {
            Observed::Present { .. } => observed.clone(),
            Observed::Absent | Observed::Unknown(_) => Observed::Present {
                status: String::new(),
                detail: Value::Null,
                process: ProcessSeen::Runs,
                broken: None,
            },
        }
    }

    /// Looks at all subjects of this kind at once. A resource that can't be asked for is [`Observed::Unknown`].
    async fn observe(
        &self,
        surroundings: &dyn Surroundings,
        subjects: &BTreeMap<Key, Instance>,
    ) -> BTreeMap<Key, Observed>;

    /// Measures what resources of this kind share, `disks` being those of clusters as declared. As a rule there is nothing.
    async fn measure(
        &self,
        surroundings: &dyn Surroundings,
        subjects: &BTreeMap<Key, Instance>,
        disks: &BTreeMap<String, Disks>,
    ) -> Measured {
        let _ = (surroundings, subjects, disks);
        Measured::default()
    }

    /// What this machine lacks for this work; changes nothing. As a rule nothing.
    ///
    /// # Errors
    /// Where that can't be told.
    async fn lacking(
        &self,
        _surroundings: &dyn Surroundings,
        _work: &[Work],
    ) -> Result<Vec<Lack>, KindError> {
        Ok(Vec::new())
    }

    /// Makes ready beside what runs all that can be, for all of this work before the first step: finds programs, fetches
    /// files, finds ports in use. May be repeated.
    async fn stage(&self, _surroundings: &dyn Surroundings, _work: &[Work]) -> Result<(), KindError> {
        Ok(())
    }

    /// The files that the resource has in place, and those that it would have with these inputs, by name; `None` where
    /// it has none.
    async fn files(
        &self,
        _surroundings: &dyn Surroundings,
        _key: &Key,
        _inputs: &Value,
    ) -> Result<Option<(Files, Files)>, KindError> {
        Ok(None)
    }

    /// Makes the resource and returns its outputs. Where another instance of it is there, it makes one beside that.
    async fn create(
        &self,
        surroundings: &dyn Surroundings,
        deed: &Deed<'_>,
        inputs: &Value,
        detail: &Value,
    ) -> Result<Value, KindError>;

    /// Changes a resource that does not serve at present, outside a roll. One that turns out to serve by now must not
    /// be disturbed. For kinds that nothing is disturbed by, it is the same as `update`.
    async fn update_at_rest(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        before: &Value,
        after: &Value,
    ) -> Result<Value, KindError> {
        self.update(surroundings, key, before, after, None).await
    }

    /// Starts a resource that doesn't run with what it has, which are these inputs as recorded. As a rule that is what
    /// changes one to what it is.
    async fn start(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        inputs: &Value,
    ) -> Result<Value, KindError> {
        self.update_at_rest(surroundings, key, inputs, inputs).await
    }

    /// Changes the resource and returns its outputs. What interrupts it is begun before `until`, or not at all.
    ///
    /// # Errors
    /// [`HostError::TooLate`](crate::host::HostError::TooLate) where it was too late for that.
    async fn update(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        before: &Value,
        after: &Value,
        until: Option<Until>,
    ) -> Result<Value, KindError>;

    /// Changes resources that stand on one that is changed as a whole ([`Kind::changes_whole`]), in one act, and returns
    /// their outputs in this order. It is on trial then.
    ///
    /// # Errors
    /// [`crate::host::HostError::TooLate`] where it was too late for one of them; nothing has changed then.
    async fn update_together(
        &self,
        surroundings: &dyn Surroundings,
        parts: &[Part<'_>],
    ) -> Result<Vec<Value>, KindError> {
        let mut outputs = Vec::new();
        for Part { key, before, after, until } in parts {
            outputs.push(self.update(surroundings, key, before, after, *until).await?);
        }
        Ok(outputs)
    }

    /// Whether the last change of what stands on a resource is on trial.
    async fn unconfirmed(&self, _surroundings: &dyn Surroundings, _key: &Key) -> Result<bool, KindError> {
        Ok(false)
    }

    /// Keeps for good what is on trial. Returns whether it is still what the last change made it; `false` where that was
    /// taken back by the resource itself. May be repeated.
    async fn confirm(&self, _surroundings: &dyn Surroundings, _key: &Key) -> Result<bool, KindError> {
        Ok(true)
    }

    /// Takes back what is on trial. What that interrupts is begun before `until`, or not at all.
    async fn revert(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        until: Until,
    ) -> Result<(), KindError> {
        let _ = (surroundings, key, until);
        Ok(())
    }

    /// Whether a change that failed can be taken back by another one. Pure.
    fn reversible(&self, _key: &Key, _before: &Value, _after: &Value) -> bool {
        false
    }

    /// Stops the resource and keeps all that it holds. Returns whether there was anything to stop.
    async fn halt(
        &self,
        _surroundings: &dyn Surroundings,
        _key: &Key,
        _inputs: &Value,
    ) -> Result<bool, KindError> {
        Ok(false)
    }

    /// Removes the resource with all that it holds.
    async fn delete(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        before: &Instance,
    ) -> Result<(), KindError>;

    /// Removes an instance that another has taken the place of, once nothing of it is needed any more.
    async fn discard(
        &self,
        surroundings: &dyn Surroundings,
        key: &Key,
        outgoing: &Instance,
    ) -> Result<(), KindError> {
        self.delete(surroundings, key, outgoing).await
    }
}

/// One of several resources that are changed in one act.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Which.
    pub key: &'a Key,
    /// Its inputs as recorded.
    pub before: &'a Value,
    /// Its inputs to be.
    pub after: &'a Value,
    /// What interrupts it is begun before this, or not at all.
    pub until: Option<Until>,
}

/// What befalls a resource in a phase.
#[derive(Debug, Clone, Copy)]
pub enum After<'a> {
    /// It is made or changed.
    Made,
    /// It is started as it is.
    Started,
    /// These are made anew, on some of which it stands.
    Renewed(&'a BTreeSet<Key>),
}

/// One operation that makes a resource, from its first try to its end.
pub struct Deed<'a> {
    /// The resource.
    pub key: &'a Key,
    /// Its idempotency token: every try of the operation has the same, after a kill as well, and no other operation of any
    /// stack has it. A backend that is asked twice with one token makes one thing.
    pub token: String,
    /// Has the state know outputs before the operation is over, such as an id that the world has just given.
    pub note: &'a (dyn Fn(&Value) -> Result<(), KindError> + Send + Sync),
}

/// What is wrong with declared inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Where in the stack file, as a dotted path, where that is known; several resources may then have the same fault, and
    /// it is told once.
    pub path: Option<String>,
    /// One sentence without the resource's name.
    pub message: String,
    /// What to write instead; may be empty.
    pub hint: String,
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self { path: None, message: error.to_string(), hint: String::new() }
    }
}

/// All resources of one kind side by side, and what they share.
#[derive(Debug)]
pub struct Siblings<'a> {
    /// The inputs of those that are declared.
    pub declared: BTreeMap<&'a Key, &'a Value>,
    /// Those that the state has.
    pub recorded: BTreeMap<&'a Key, &'a Recorded>,
    /// The disks of clusters, as declared.
    pub disks: &'a BTreeMap<String, Disks>,
    /// What was measured of what they share.
    pub measured: &'a Measured,
    /// The groups as seen over the wire.
    pub groups: &'a BTreeMap<String, GroupView>,
}

/// What was measured of what resources share. Where something could not be measured it isn't here, and stops nothing.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Bytes that are free on the file system that hosts of each backend share, where they do.
    pub shared_disks: BTreeMap<String, u64>,
    /// Bytes that the busiest partition of each topic takes in a second.
    pub rates: BTreeMap<String, f64>,
}

/// What resources that share something come to.
#[derive(Debug, Default)]
pub struct Fitted {
    /// The inputs of those that are to differ from what is declared.
    pub inputs: BTreeMap<Key, Value>,
    /// Those of which these inputs are only the next waypoint on the way to what is declared.
    pub waypoints: BTreeSet<Key>,
    /// Those for which there is nothing left.
    pub refusals: BTreeMap<Key, Refusal>,
    /// What it means for each, for people, and whether that is to be told although nothing is done with it.
    pub told: BTreeMap<Key, (String, bool)>,
}

/// The text of files, by name.
pub type Files = BTreeMap<String, String>;

/// A resource that a plan will create or change, as staging sees it.
#[derive(Debug, Clone)]
pub struct Work {
    /// Which resource.
    pub key: Key,
    /// Inputs after the change.
    pub inputs: Value,
}
