//! A member leaves a group that goes on. That nobody counts on it was so when the plan was made; it is looked at again
//! right before its process stops, and once more when it has: what was under way to it meanwhile shows then.

use crate::clock::{LOOK_HOLDS, UNTOLD, Until};
use crate::host::{Host, RunState};
use crate::model::{Key, NodeFacts};
use crate::resource::{KindError, Surroundings, view};
use crate::role::{NotSafe, Role, Standing};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long it may be that nobody can tell. A session that nobody ends takes 20 s to be over, the failover of a
/// controller with 2,000 partitions 10 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// How long nobody must count on a member that has stopped: what the controller had decided before it was told of that
/// is known to it well within this.
const NEWS: Duration = Duration::from_secs(1);

/// A member that is to leave.
pub(super) struct Leaving<'a> {
    pub(super) surroundings: &'a dyn Surroundings,
    pub(super) key: &'a Key,
    pub(super) facts: &'a NodeFacts,
    pub(super) role: &'a dyn Role,
    pub(super) host: &'a dyn Host,
    /// Its name on its host.
    pub(super) name: &'a str,
}

impl Leaving<'_> {
    /// Removes it with its data, where nobody counts on it. Its process has `stop_timeout` to end in order.
    ///
    /// # Errors
    /// [`KindError::NotRemoved`] where somebody does, or nobody can tell. It then goes on as it was.
    pub(super) async fn leave(&self, stop_timeout: Duration) -> Result<(), KindError> {
        let kept = |then: &str, source| KindError::NotRemoved {
            key: self.key.clone(),
            then: then.to_owned(),
            source: Box::new(source),
        };
        let until = self.missed_by_nobody(false).await.map_err(|reason| kept("", reason))?;
        let found = self.host.node(self.name).await?.map(|found| found.run);
        self.host.stop(self.name, stop_timeout, Some(until)).await?;
        if let Err(reason) = self.missed_by_nobody(true).await {
            let then = match found {
                None | Some(RunState::Stopped | RunState::Stopping | RunState::Failed { .. }) => "".into(),
                Some(_) => match self.host.start(self.name).await {
                    Ok(()) => " and was started again".into(),
                    Err(error) => format!(" and stands stopped, since {error}"),
                },
            };
            return Err(kept(&then, reason));
        }
        Ok(self.host.remove(self.name).await?)
    }

    /// Waits until nobody would miss it, `stopped` or not. Returns for how long that holds.
    async fn missed_by_nobody(&self, stopped: bool) -> Result<Until, NotSafe> {
        let begun = Instant::now();
        let nothing_recorded = self.surroundings.made_within(&self.facts.group).is_empty();
        let mut since: Option<Instant> = None;
        loop {
            let until = Until::within(LOOK_HOLDS);
            match self.look(stopped).await {
                Err(NotSafe::Untold) if nothing_recorded && begun.elapsed() >= UNTOLD => {
                    return Ok(until);
                }
                Err(reason) if !reason.may_pass() || begun.elapsed() >= PATIENCE => return Err(reason),
                Err(_) => since = None,
                Ok(()) if !stopped => return Ok(until),
                Ok(()) if since.get_or_insert_with(Instant::now).elapsed() >= NEWS => return Ok(until),
                Ok(()) => {}
            }
            sleep(PAUSE).await;
        }
    }

    async fn look(&self, stopped: bool) -> Result<(), NotSafe> {
        let group = &self.facts.group;
        let view = view(self.surroundings, group).await.ok_or(NotSafe::NobodyAnswers)?;
        self.role.allows_removal(self.facts, &view)?;
        if stopped && view.standing(&self.key.name) != Some(Standing::Out) {
            return Err(NotSafe::StillCounted { member: self.key.name.clone() });
        }
        if self.role.tells_any(&view, &self.surroundings.made_within(group)) {
            Ok(())
        } else {
            Err(NotSafe::Untold)
        }
    }
}
