//! A thread that works until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

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
