//! Threads that work until they are told to stop, or that nobody waits for.

use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a consumer may take to leave its group and close.
const CLOSE: Duration = Duration::from_secs(10);

/// Such a thread. Dropping it tells it to stop, and waits until it has.
pub(super) struct Background {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Tells a thread whether it is to stop.
pub(super) struct Over(Arc<AtomicBool>);

impl Over {
    /// Whether the thread is to stop.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Background {
    /// Begins `work`, which looks again and again whether it is to stop.
    pub(super) fn start(work: impl FnOnce(&Over) + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Over(over.clone());
        Self { over, thread: Some(std::thread::spawn(move || work(&told))) }
    }

    /// Has the thread stop, and waits until it has. Blocks.
    pub(super) fn stop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Lets go of a consumer of which all is known. librdkafka may never be done with it: seen with 2.12.1 after all brokers had
/// been killed, when nothing was left to come but the end of one partition's fetcher. A drill doesn't wait for that.
pub(super) fn let_go<C: ConsumerContext + 'static>(client: BaseConsumer<C>) {
    within(CLOSE, move || drop(client));
}

/// Does `work` on a thread of its own, and leaves it there where it takes longer than `limit`. Returns whether it ended.
fn within(limit: Duration, work: impl FnOnce() + Send + 'static) -> bool {
    let (begun, thread) = (Instant::now(), std::thread::spawn(work));
    while !thread.is_finished() {
        if begun.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_without_an_end_is_left() {
        assert!(within(Duration::from_secs(60), || {}));
        assert!(!within(Duration::from_millis(20), || loop {
            std::thread::park();
        }));
    }
}
