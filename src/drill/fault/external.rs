//! A fault that another hand makes: an operator, or the driver of a test. It is told of in lines on stdin.
//!
//! ```text
//! ← ready             the probe is at work, and the idle cluster has been measured
//! → inject            the fault is made at this moment
//! → heal              it is undone
//! ```

use super::{BOUND, Fault, Lasts, Objective, Sign, Strike};
use crate::drill::error::DrillError;
use crate::drill::scene::Scene;
use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::sync::Mutex;

/// Its name.
pub const NAME: &str = "external";

/// The fault.
pub(super) struct External(Mutex<Lines<BufReader<Stdin>>>);

impl Default for External {
    fn default() -> Self {
        Self(Mutex::new(BufReader::new(tokio::io::stdin()).lines()))
    }
}

impl External {
    async fn mark(&self, scene: &Scene, awaited: &'static str) -> Result<(), DrillError> {
        let mut marks = self.0.lock().await;
        loop {
            let line = tokio::select! {
                line = marks.next_line() => line,
                () = scene.options.interrupt.wait() => return Err(DrillError::Interrupted),
            };
            match line {
                Ok(Some(line)) if line.trim() == awaited => return Ok(()),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Err(DrillError::NoMark { awaited }),
            }
        }
    }
}

#[async_trait]
impl Fault for External {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "what another hand does: `inject` and `heal` are read from stdin after `ready` was said"
    }

    fn objective(&self, _: &Scene) -> Objective {
        Objective::within(BOUND)
    }

    async fn inject(&self, scene: &Scene, strike: &Strike<'_>) -> Result<String, DrillError> {
        scene.events().notice("ready");
        self.mark(scene, "inject").await?;
        strike("inject", &[Sign::AnyChange]);
        Ok("another hand".into())
    }

    fn lasts(&self) -> Lasts {
        Lasts::Itself
    }

    async fn heal(&self, scene: &Scene) -> Result<(), DrillError> {
        self.mark(scene, "heal").await
    }
}
