//! Whether it is the stack's own groups that answer at its addresses: each is known by the id that it has of its own
//! (Kafka: the cluster's). Pure.

use super::{Inventory, Record, State};
use crate::model::{Key, ProcessSeen, Refusal};
use crate::registry::Registry;
use crate::resource::Observed;
use crate::role::{Group, GroupView};

/// What the state is to know of groups that it sees for the first time. Only a member that answers, and whose host says
/// that it runs there, speaks for its group: another may have its address.
pub fn first_seen(registry: &Registry, state: &State, inventory: &Inventory) -> Vec<Record> {
    let runs = |key: &Key| {
        let process = inventory.resources.get(key).and_then(Observed::process);
        matches!(process, Some(ProcessSeen::Runs | ProcessSeen::Young))
    };
    let seen = |(name, group): (&String, &Group)| {
        let view = inventory.groups.get(name)?;
        let speaks = |key: &Key| view.is_up(&key.name) && runs(key);
        if state.identities.contains_key(name) || !group.members.iter().any(speaks) {
            return None;
        }
        let id = registry.role_named(&group.role)?.identity(view)?;
        Some(Record::Identity { group: name.clone(), id })
    };
    state.groups.iter().filter_map(seen).collect()
}

/// The groups at whose addresses another group answers, by its id: nothing is changed while one does.
pub fn strangers(registry: &Registry, state: &State, inventory: &Inventory) -> Vec<Refusal> {
    let seen = |(name, view): (&String, &GroupView)| stranger(registry, state, name, view);
    inventory.groups.iter().filter_map(seen).collect()
}

/// Why the group that a view shows is not the one that the state knows.
pub fn stranger(registry: &Registry, state: &State, group: &str, view: &GroupView) -> Option<Refusal> {
    let (known, role) = (state.identities.get(group)?, &state.groups.get(group)?.role);
    let found = registry.role_named(role)?.identity(view)?;
    (found != *known).then(|| Refusal {
        key: Key::new("group", group),
        reason: format!(
            "another one answers at its addresses: its id is {found}, and that of this stack's is {known}"
        ),
        hint: "`octad status` shows it; stop that one, or give this stack addresses of its own".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{File, Member, NodeFacts, Process};
    use crate::role::{Health, MemberView, Next, NotSafe, Role, Roll, Standing};
    use crate::wire::Wire;
    use async_trait::async_trait;
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    /// A role whose groups tell the id that is their view's detail.
    struct Telling;

    #[async_trait]
    impl Role for Telling {
        fn name(&self) -> &'static str {
            "telling"
        }
        fn files(&self, _: &NodeFacts) -> BTreeMap<String, File> {
            BTreeMap::new()
        }
        fn process(&self, _: &NodeFacts) -> Process {
            Process::Java { options: vec![], main: String::new(), arguments: vec![] }
        }
        async fn observe(&self, _: &dyn Wire, _: &[Arc<Member>]) -> GroupView {
            unreachable!("nothing is looked at here")
        }
        fn health(&self, _: &GroupView, _: &[Arc<Member>], _: &BTreeSet<String>) -> Health {
            Health::Healthy
        }
        fn next(&self, _: &Roll<'_>, _: &GroupView) -> Next {
            Next::Done
        }
        fn may_disrupt(&self, _: &str, _: &BTreeSet<String>, _: &GroupView) -> Result<(), NotSafe> {
            Ok(())
        }
        fn identity(&self, view: &GroupView) -> Option<String> {
            view.detail::<Option<String>>()?.clone()
        }
        fn allows_removal(&self, _: &NodeFacts, _: &GroupView) -> Result<(), NotSafe> {
            Ok(())
        }
    }

    fn registry() -> Registry {
        Registry::standard().role(Telling)
    }

    fn state(known: Option<&str>) -> State {
        let mut state = State::new("s");
        let group = Group { role: "telling".into(), members: [Key::new("node", "a")].into() };
        state.groups.insert("g".into(), group);
        state.identities.extend(known.map(|id| ("g".to_owned(), id.to_owned())));
        state
    }

    /// The group as it tells this id, with a member that answers, or doesn't, and has a process, or has none.
    fn seen(id: Option<&str>, standing: Standing, process: ProcessSeen) -> Inventory {
        let member = MemberView { standing, note: String::new(), closed: false, ill: false };
        let view = GroupView {
            members: Arc::new([("a".to_owned(), member)].into()),
            leaders: BTreeSet::new(),
            detail: Arc::new(id.map(str::to_owned)),
        };
        let observed = Observed::Present {
            status: String::new(),
            detail: serde_json::Value::Null,
            process,
            broken: None,
        };
        Inventory {
            resources: [(Key::new("node", "a"), observed)].into(),
            groups: [("g".to_owned(), view)].into(),
            ..Inventory::default()
        }
    }

    const UP: (Standing, ProcessSeen) = (Standing::Up, ProcessSeen::Runs);

    #[test]
    fn a_group_is_known_by_what_its_own_running_member_tells_first() {
        let told = |known, id, (standing, process)| {
            first_seen(&registry(), &state(known), &seen(id, standing, process))
        };
        let record = Record::Identity { group: "g".into(), id: "x".into() };
        assert_eq!(told(None, Some("x"), UP), [record]);
        // Known already, not told, or told by who may be another.
        assert_eq!(told(Some("y"), Some("x"), UP), []);
        assert_eq!(told(None, None, UP), []);
        assert_eq!(told(None, Some("x"), (Standing::Silent, ProcessSeen::Runs)), []);
        assert_eq!(told(None, Some("x"), (Standing::Up, ProcessSeen::Gone)), []);
    }

    #[test]
    fn another_id_is_a_stranger_s_and_none_is_nobody_s() {
        let told = |known, id| strangers(&registry(), &state(known), &seen(id, UP.0, UP.1)).len();
        assert_eq!(told(Some("x"), Some("y")), 1);
        assert_eq!(told(Some("x"), Some("x")), 0);
        assert_eq!(told(Some("x"), None), 0, "what could not be asked is no other one");
        assert_eq!(told(None, Some("y")), 0);
    }

    #[test]
    fn an_id_is_forgotten_with_the_last_member() {
        use crate::engine::Outcome;
        let key = Key::new("node", "a");
        let mut state = state(Some("x"));
        let begin = Record::Begin {
            key: key.clone(),
            moved_from: None,
            inputs: serde_json::json!({}),
            needs: BTreeSet::new(),
            renews: false,
        };
        state.fold(1, begin);
        state.fold(2, Record::End { key: Key::new("topic", "t"), outcome: Outcome::Removed });
        assert_eq!(state.identities.len(), 1);
        state.fold(3, Record::End { key, outcome: Outcome::Removed });
        assert_eq!(state.identities.len(), 0);
    }
}
