//! Renames that a declaration tells of (`moved`): what the state has under an old name goes on under a new one. Pure.

use super::State;
use crate::model::Key;
use crate::stack::{Move, ValidStack};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The new name of each resource that is still recorded under its old one, and the old one. A move that was made
/// already, or whose resource never existed, has nothing left to do.
pub(super) fn pending(stack: &ValidStack, state: &State) -> BTreeMap<Key, Key> {
    let is_left =
        |one: &&Move| state.resources.contains_key(&one.from) && !state.resources.contains_key(&one.to);
    stack.moves.iter().filter(is_left).map(|one| (one.to.clone(), one.from.clone())).collect()
}

/// The state with the names that the declaration uses.
pub(super) fn followed<'a>(stack: &ValidStack, state: &'a State) -> Cow<'a, State> {
    let pending = pending(stack, state);
    if pending.is_empty() {
        return Cow::Borrowed(state);
    }
    let mut state = state.clone();
    for (to, from) in pending {
        state.rename(&from, &to);
    }
    Cow::Owned(state)
}
