//! Not a fault but a change: every broker is restarted, one at a time, as `up` does it.

use super::{Fault, Lasts, Objective, Sign, Strike, session};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::engine::{self, Checked, Intent, Plan, Store};
use crate::host::RunState;
use crate::model::NodeFacts;
use crate::supervisor::Signal;
use async_trait::async_trait;
use std::time::Duration;

/// The change.
pub(super) struct BrokerRoll;

#[async_trait]
impl Fault for BrokerRoll {
    fn name(&self) -> &'static str {
        "roll"
    }

    fn about(&self) -> &'static str {
        "all brokers are restarted one at a time, as `up` restarts them for a change"
    }

    fn objective(&self, _: &Scene) -> Objective {
        Objective::within(Duration::from_millis(400)).keeping_min_isr()
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let roll = Roll::planned(self.name(), scene, scene.brokers()).await?;
        strike("roll begins", &restarted(scene.brokers()));
        roll.apply(scene).await?;
        strike("roll is over", &[]);
        Ok(format!("{} brokers", scene.brokers().len()))
    }

    fn lasts(&self) -> Lasts {
        Lasts::Itself
    }
}

/// A roll that is planned and checked, as it is while the question whether to do it stands on a terminal.
pub(super) struct Roll {
    store: Store,
    plan: Plan<Checked>,
}

impl Roll {
    /// Plans to restart these brokers, for a drill of this name.
    ///
    /// # Errors
    /// Where that isn't all that there would be to do, or is refused.
    pub(super) async fn planned<'a>(
        fault: &'static str,
        scene: &Scene,
        brokers: impl IntoIterator<Item = &'a NodeFacts>,
    ) -> Result<Self, DrillError> {
        let (stack, context) = (&scene.stack, scene.context());
        let store = Store::open(&scene.site, stack.name().as_ref())?;
        let inventory = engine::observe(context, stack, store.state()).await;
        let planned =
            |intent: &Intent| engine::plan(scene.registry(), stack, intent, store.state(), &inventory);
        // A roll that also brings a change would measure that as well.
        if planned(&Intent::default()).change_count() > 0 {
            let reason = "the stack is not as its file declares it".into();
            return Err(DrillError::Refused { fault, reason });
        }
        let restart = brokers.into_iter().map(|facts| facts.key()).collect();
        let intent = Intent { restart, ..Intent::default() };
        let plan = engine::check(planned(&intent), scene.registry(), stack, &intent, &inventory)?;
        match plan.refusals.first() {
            Some(refusal) => Err(DrillError::Refused { fault, reason: refusal.reason.clone() }),
            None => Ok(Self { store, plan }),
        }
    }

    /// Carries it out.
    ///
    /// # Errors
    /// Where it stops.
    pub(super) async fn apply(self, scene: &Scene) -> Result<(), DrillError> {
        let Self { store, plan } = self;
        engine::apply(scene.context(), store, &scene.stack, plan, &scene.options).await?;
        Ok(())
    }
}

/// What is noticed of brokers that are restarted: each is away for a while.
pub(super) fn restarted<'a>(brokers: impl IntoIterator<Item = &'a NodeFacts>) -> Vec<Sign> {
    brokers.into_iter().map(|facts| Sign::Unregistered(facts.node.clone())).collect()
}

/// Has a broker stand still for so long just as these are about to be restarted. Until it goes on, the roll has to wait: not
/// one of all brokers may be told to stop.
pub(super) async fn roll_beside_frozen<'a>(
    fault: &'static str,
    scene: &Scene,
    (frozen, time): (&NodeFacts, Duration),
    rolled: impl IntoIterator<Item = &'a NodeFacts> + Clone,
    strike: &Strike<'_>,
) -> Result<(), DrillError> {
    // Planned while all was well. Between two turns nobody could tell whose fault it is that two are away: the roll's, or
    // a broker's that stood still just after the next one was told to stop.
    let roll = Roll::planned(fault, scene, rolled.clone()).await?;
    let before = processes(scene).await?;
    let mut signs = vec![Sign::Frozen(frozen.node.clone())];
    signs.extend((time > session(scene)).then(|| Sign::Unregistered(frozen.node.clone())));
    strike(&format!("freeze {}", frozen.node), &signs);
    scene.signal(frozen, Signal::Stop).await?;
    strike("roll begins", &restarted(rolled));
    let thaw = async {
        scene.pause(time).await?;
        for ((facts, before), now) in scene.brokers().iter().zip(before).zip(processes(scene).await?) {
            if now != before && facts.node != frozen.node {
                scene.not_kept(format!("{} was told to stop while {} stood still", facts.node, frozen.node));
            }
        }
        strike(&format!("{} goes on", frozen.node), &[]);
        scene.signal(frozen, Signal::Cont).await
    };
    let (rolled, thawed) = tokio::join!(roll.apply(scene), thaw);
    rolled.and(thawed)?;
    strike("roll is over", &[]);
    Ok(())
}

/// Each broker's process, where it runs and wasn't told to stop.
async fn processes(scene: &Scene) -> Result<Vec<Option<u32>>, DrillError> {
    let states = scene.brokers().iter().map(|facts| scene.run_state(facts));
    let pid = |state: Option<RunState>| match state {
        Some(RunState::Running { pid, .. }) => Some(pid),
        _ => None,
    };
    Ok(futures_util::future::try_join_all(states).await?.into_iter().map(pid).collect())
}
