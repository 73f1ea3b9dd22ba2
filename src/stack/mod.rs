//! What a program declares, and the checks through which it becomes a [`ValidStack`], the only input of every later
//! stage. Pure.

mod declaration;
mod fault;
mod name;
mod nearest;
mod validate;

pub use declaration::{Declaration, Declared, Move, Needs, Stack};
pub use fault::{Fault, Faults};
pub use name::{Name, NameError, TopicName};
pub use nearest::nearest;
pub use validate::ValidStack;
pub(crate) use validate::{direct_needs, needs_of_groups};
