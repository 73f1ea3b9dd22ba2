//! What is lost by a plan: with consent it is told, without it is refused.

use super::Planner;
use crate::model::{Key, Refusal};
use crate::resource::{Decision, Kind, Loss, Recorded, Subject};
use std::collections::BTreeSet;

impl Planner<'_> {
    /// Takes note of what is lost with consent, and refuses the rest. What several lose in common is told once.
    pub(super) fn weigh(&mut self, losses: BTreeSet<Loss>) {
        let (allowed, refused): (BTreeSet<Loss>, BTreeSet<Loss>) =
            losses.into_iter().partition(|loss| self.intent.losses.contains(&loss.of));
        self.losses = allowed;
        self.refusals.extend(refused.into_iter().map(|Loss { of, what }| Refusal {
            reason: what,
            hint: format!("`--allow-loss {of}` consents to it"),
            key: of,
        }));
        if !self.stack.is_removal() {
            return;
        }
        // Whoever removes a stack is told of all that goes with it, whoever made that.
        for (name, subject) in &self.groups {
            let role = self.state.groups.get(*name).and_then(|group| self.registry.role_named(&group.role));
            let held = role.zip(subject.view).map(|(role, view)| role.holds(view)).unwrap_or_default();
            let known = |one: &String| self.state.resources.keys().any(|key| key.name == *one);
            self.losses.extend(held.into_iter().filter(|one| !known(one)).map(|one| Loss {
                of: Key::new("group", name),
                what: format!("{one}, which this stack did not make, goes with it and loses all its records"),
            }));
        }
    }

    /// What is protected is only removed together with its stack.
    pub(super) fn protect(&self, kind: &dyn Kind, subject: &Subject<'_>, decision: Decision) -> Decision {
        let protected = |recorded: &Recorded| recorded.is_protected(kind);
        match decision {
            // What is lost already needs no consent.
            Decision::Delete { loses } | Decision::Forget { loses, .. }
                if !self.stack.is_removal()
                    && !loses.is_empty()
                    && subject.recorded.is_some_and(protected) =>
            {
                let key = subject.key.clone();
                Decision::Refuse(Refusal {
                    reason: format!("it is protected, and is no longer declared: to remove it loses {loses}"),
                    hint: format!("declare it again, or consent with `octad state unprotect {key}`"),
                    key,
                })
            }
            decision => decision,
        }
    }
}
