//! Whether a group can do without one of its members now, whoever takes that one away: what a roll asks before a turn.

use super::rolling::{Chooser, claim, release};
use super::{Ground, Options, StepError};
use crate::clock::Until;
use crate::engine::roll::Turn;
use crate::engine::{Context, GateError};
use crate::kafka::Claim;
use crate::model::Key;
use crate::resource::{self, Surroundings as _};
use crate::role::{Absence, GroupView, NotSafe};
use crate::stack::ValidStack;
use std::collections::{BTreeMap, BTreeSet};

/// Why a node may not be taken away now, as far as that is known.
#[derive(Debug, thiserror::Error)]
pub enum NotSpared {
    /// Its group can't do without it.
    #[error(transparent)]
    NotSafe(NotSafe),
    /// Its group waits for a member that won't come up by itself.
    #[error(transparent)]
    Broken(GateError),
    /// Nobody could tell.
    #[error("whether {group} can do without {node} could not be asked")]
    NotAsked {
        /// The group.
        group: String,
        /// The node.
        node: String,
        /// What is known.
        source: NotSafe,
    },
    /// Octad was asked to stop.
    #[error("stopped, as you asked")]
    Interrupted,
}

/// Leave to take a node away, for as long as it is kept: while a broker is claimed, nobody else gets leave for it or for
/// another one.
#[derive(Debug)]
pub struct Spared {
    group: String,
    node: String,
    claims: BTreeMap<String, Claim>,
    /// What is done by it is begun before this.
    pub until: Until,
}

impl Spared {
    /// Whether it still holds, as far as is known.
    pub fn is_held(&self) -> bool {
        self.claims.values().all(Claim::is_held)
    }

    /// Claims anew what no longer holds: a server of ZooKeeper's may have gone, and the session with it.
    ///
    /// # Errors
    /// Where others have claimed something meanwhile, or nobody could be asked; its own old claim lasts some seconds too.
    pub async fn hold(&mut self, context: &Context) -> Result<(), NotSafe> {
        if self.is_held() { Ok(()) } else { self.claim(context).await }
    }

    async fn claim(&mut self, context: &Context) -> Result<(), NotSafe> {
        if let Some(role) = context.role_of(&self.group) {
            let claimed = claim(context, role.as_ref(), &self.group, &self.node).await?;
            self.claims = claimed.into_iter().map(|claim| (self.node.clone(), claim)).collect();
        }
        Ok(())
    }

    /// Gives it back.
    pub async fn release(self) {
        release(self.claims).await;
    }
}

/// Waits, as long as `options` let a gate take, until `node` of this group may be taken away: a roll would begin with it now,
/// and somebody serves without it. `interrupts` are names of what may be interrupted by that. `tell` hears what is waited for.
///
/// Nothing is changed; the claims that a roll makes before a turn are made, and kept with the leave.
///
/// # Errors
/// Where it may not, or that could not be asked.
pub async fn spares(
    context: &Context,
    stack: &ValidStack,
    group: &str,
    node: &Key,
    interrupts: &BTreeSet<String>,
    options: &Options,
    tell: &(dyn Fn(String) + Send + Sync),
) -> Result<Spared, NotSpared> {
    let turns = [Turn { host: None, members: [(group.to_owned(), node.clone())].into() }];
    let nobody = BTreeSet::new();
    let ground = Ground { context, stack, left_out: &nobody, options };
    let mut chooser = Chooser::over(ground, &turns, BTreeMap::new(), tell);
    let not_asked = |source| NotSpared::NotAsked { group: group.to_owned(), node: node.name.clone(), source };
    let asked = async {
        chooser.add(group, [node.name.as_str()].into(), interrupts)?;
        chooser.next_turn().await
    };
    let asked = asked.await.map(|ready| {
        let mut ready = ready?;
        Some((ready.seen.remove(group)?.0, ready.until))
    });
    let refused = match asked {
        // A group of one lets it go: whoever rolls it has been told before that clients wait until it is back.
        Ok(Some((view, _))) if waits(context, group, node, &view) => {
            NotSpared::NotSafe(NotSafe::NobodyLeft { member: node.name.clone() })
        }
        Ok(Some((view, until))) if view.up_count() > 0 => {
            let claims = chooser.take_claims();
            // A roll claims none that nobody counts on; what is done to this one may last until somebody does.
            let unclaimed = claims.is_empty();
            let mut spared = Spared { group: group.to_owned(), node: node.name.clone(), claims, until };
            match if unclaimed { spared.claim(context).await } else { Ok(()) } {
                // Where ZooKeeper doesn't answer nobody can claim another one either.
                Ok(()) | Err(NotSafe::NoAnswer { .. }) => return Ok(spared),
                Err(reason) => NotSpared::NotSafe(reason),
            }
        }
        Ok(_) => not_asked(NotSafe::NobodyAnswers),
        Err(StepError::NotSafe { reason, .. }) if is_unknown(context, group, &reason).await => {
            not_asked(reason)
        }
        Err(StepError::NotSafe { reason, .. }) => NotSpared::NotSafe(reason),
        Err(StepError::Gate(error)) => NotSpared::Broken(error),
        Err(_) => NotSpared::Interrupted,
    };
    chooser.release().await;
    Err(refused)
}

/// Whether clients of the group wait while a member that serves is away, whoever else there is.
fn waits(context: &Context, group: &str, node: &Key, view: &GroupView) -> bool {
    let absences = context.role_of(group).map(|role| role.absences(&[node.name.clone()].into(), view));
    absences.is_some_and(|absences| absences.get(&node.name) == Some(&Absence::Interruption))
}

/// Whether a reason says no more than that nobody could be asked, in the group or in one that it needs.
async fn is_unknown(context: &Context, group: &str, reason: &NotSafe) -> bool {
    let group = match reason {
        NotSafe::NobodyAnswers | NotSafe::NoAnswer { .. } => return true,
        NotSafe::NeedsUnhealthy { group, .. } => group,
        _ => group,
    };
    resource::view(context, group).await.is_none_or(|view| view.up_count() == 0)
}
