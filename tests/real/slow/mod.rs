//! What CI tries for each change, and a person with `scripts/test --all`: it takes minutes more.

mod cluster;
#[cfg(feature = "drill")]
mod drill;
#[cfg(feature = "drill")]
pub(crate) mod isolated;
mod roll;
