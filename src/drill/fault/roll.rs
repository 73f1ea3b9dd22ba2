//! Not a fault but a change: every broker is restarted, one at a time, as `up` does it.

use super::{Fault, Lasts, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use crate::engine::{self, Store};
use crate::resource::{Key, NodeKind};
use async_trait::async_trait;
use std::collections::BTreeSet;
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

    fn objective(&self, _: &Scene) -> Duration {
        Duration::from_millis(400)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        let (stack, context) = (&scene.stack, scene.context());
        let store = Store::open(&scene.site, stack.name().as_ref())?;
        let inventory = engine::observe(context, stack, store.state()).await;
        let planned = |stack| engine::plan(scene.registry(), stack, store.state(), &inventory);
        // A roll that also brings a change would measure that as well.
        if planned(stack).change_count() > 0 {
            return Err(DrillError::Refused {
                fault: self.name(),
                reason: "the stack is not as its file declares it".into(),
            });
        }
        let brokers: BTreeSet<Key> =
            scene.brokers().iter().map(|facts| Key::new(NodeKind::NAME, &facts.node)).collect();
        let rolled = stack.clone().with_restart(brokers);
        let plan = engine::check(planned(&rolled), scene.registry(), &rolled, &inventory)?;
        if let Some(refusal) = plan.refusals.first() {
            return Err(DrillError::Refused { fault: self.name(), reason: refusal.reason.clone() });
        }
        strike("roll begins");
        engine::apply(context, store, &rolled, plan, &scene.options).await?;
        strike("roll is over");
        Ok(format!("{} brokers", scene.brokers().len()))
    }

    fn lasts(&self) -> Lasts {
        Lasts::Itself
    }
}
