//! What `.ci/run long` tries.

mod drill;
mod isolated;
