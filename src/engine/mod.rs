//! The engine: observe, plan, check, apply. It matches on no kind and no role.
//!
//! [`observe()`] reads the world into an [`Inventory`]; [`plan()`] and [`check()`] are pure and make a
//! [`Plan<Checked>`]; [`apply()`] carries it out, journalling each step in the [`Store`] before and after.

mod adopt;
mod apply;
mod cancel;
mod check;
mod compare;
mod consent;
mod context;
mod described;
mod event;
mod files;
mod forget;
mod format;
mod gate;
mod graph;
mod halt;
mod history;
mod identity;
mod import;
mod intent;
mod interrupt;
mod journal;
mod lease;
mod lock;
mod moves;
mod observe;
mod order;
mod phases;
mod plan;
mod planner;
mod process;
mod protect;
mod refresh;
mod roll;
mod saved;
mod selection;
mod sequence;
mod state;
mod store;

pub use adopt::{adopt, unknown_groups};
pub use apply::{
    ApplyError, NotSpared, Options, Spared, StageError, StepError, apply, lacking, spares, stage,
};
pub use cancel::{HolderError, cancel, unlock};
pub use check::{Violation, check};
pub use compare::compare;
pub use consent::consent;
pub use context::Context;
pub use described::{FactsError, described};
pub use event::{EVENT_VERSION, Event, Events, StepAction};
pub use files::{FileChange, FileChanges, file_changes};
pub use forget::forget;
pub use gate::GateError;
pub use halt::{HaltError, halt};
pub use history::{Ending, History, Update};
pub use identity::{first_seen, stranger, strangers};
pub use import::import;
pub use intent::{Intent, Systems};
pub use interrupt::{Interrupt, Interrupter, interrupt};
pub use journal::{Outcome, Record};
pub use lease::{Claimant, LeaseError, Leased, lease, take_away};
pub use lock::{Holder, Lock, LockError, holder};
pub use observe::{Inventory, observe};
pub use phases::{as_foreseen, later, refusals};
pub use plan::{Action, Change, Checked, Draft, FromFile, GroupRoll, Plan, Step};
pub use planner::plan;
pub use protect::protect;
pub use refresh::{Refresh, refresh};
pub use saved::{Differences, PLAN_FORMAT, SavedPlan, SavedPlanError};
pub use selection::{Selection, UnknownName};
pub use sequence::{Stopped, in_turn};
pub use state::{STATE_FORMAT, State, StateError};
pub use store::Store;
