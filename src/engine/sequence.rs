//! The phases of a change, one after the other.

use super::plan::{Checked, Plan};
use super::{Differences, Intent, as_foreseen};

/// Where a change ended before its last phase was over.
#[derive(Debug)]
pub struct Stopped<E> {
    /// Which phase, from 1.
    pub phase: usize,
    /// Whether it was begun, and may be done in part.
    pub begun: bool,
    /// The changes of the phases before, which are done.
    pub before: Vec<String>,
    /// Those of the phases behind it, which are not.
    pub behind: Vec<String>,
    /// Why it ended.
    pub source: E,
}

/// Carries out a plan, then those behind it, as long as each is what was foreseen and consented to. `carry_out` takes what
/// `look` made ready for a phase, its plan, and which phase it is, from 1; `look` plans the next one anew, from what is
/// there by then.
///
/// # Errors
/// Where a phase ended early, can't be planned, or is another than was foreseen.
pub async fn in_turn<Ready, E: From<Differences>>(
    first: (Ready, Plan<Checked>),
    later: &[Plan],
    intent: &Intent,
    look: impl AsyncFn(&Intent) -> Result<(Ready, Plan<Checked>), E>,
    carry_out: impl AsyncFn(Ready, Plan<Checked>, usize) -> Result<(), E>,
) -> Result<(), Stopped<E>> {
    let (mut next, mut intent, mut before) = (first, intent.clone(), Vec::new());
    for phase in 1..=later.len() + 1 {
        let stopped = |begun, before, phase: usize, source| {
            let behind = later[phase - 1..].iter().flat_map(Plan::changes).collect();
            Stopped { phase, begun, before, behind, source }
        };
        let (ready, plan) = next;
        let changes = plan.changes();
        intent = intent.once_done(&plan);
        if let Err(source) = carry_out(ready, plan, phase).await {
            return Err(stopped(true, before, phase, source));
        }
        before.extend(changes);
        let Some(foreseen) = later.get(phase - 1) else { break };
        let found = look(&intent).await;
        let found = found.and_then(|found| as_foreseen(foreseen, &found.1).map(|()| found).map_err(E::from));
        next = found.map_err(|source| stopped(false, std::mem::take(&mut before), phase + 1, source))?;
    }
    Ok(())
}
