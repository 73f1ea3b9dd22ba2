//! ^C as the engine sees it: the first asks to stop at a safe point, the second to stop at once.

use tokio::sync::watch;

/// How urgently Octad was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    No,
    AtSafePoint,
    AtOnce,
}

/// Asks the engine to stop. Held by whoever listens for signals.
#[derive(Debug)]
pub struct Interrupter(watch::Sender<Asked>);

/// Tells whether the engine was asked to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<Asked>);

/// A connected pair that nobody has interrupted yet.
pub fn interrupt() -> (Interrupter, Interrupt) {
    let (sender, receiver) = watch::channel(Asked::No);
    (Interrupter(sender), Interrupt(receiver))
}

impl Interrupter {
    /// Asks once more: first for a safe point, then for an end at once.
    pub fn ask(&self) {
        self.0.send_modify(|asked| {
            *asked = match asked {
                Asked::No => Asked::AtSafePoint,
                Asked::AtSafePoint | Asked::AtOnce => Asked::AtOnce,
            }
        });
    }
}

impl Interrupt {
    /// One that never comes.
    pub fn never() -> Self {
        interrupt().1
    }

    /// Whether a stop was asked for, however urgently.
    pub fn asked(&self) -> bool {
        *self.0.borrow() >= Asked::AtSafePoint
    }

    /// Returns once a stop was asked for, however urgently; never if nobody can ask any more.
    pub async fn wait(&self) {
        self.wait_for(Asked::AtSafePoint).await;
    }

    /// Returns once a stop at once was asked for; never if nobody can ask any more.
    pub async fn wait_at_once(&self) {
        self.wait_for(Asked::AtOnce).await;
    }

    async fn wait_for(&self, urgency: Asked) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|asked| *asked >= urgency).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_ask_is_the_urgent_one() {
        let (asker, interrupt) = interrupt();
        assert!(!interrupt.asked());
        asker.ask();
        interrupt.wait().await;
        assert!(interrupt.asked());
        let urgent = interrupt.wait_at_once();
        tokio::pin!(urgent);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(5), &mut urgent).await.is_err());
        asker.ask();
        urgent.await;
    }
}
