//! Octad.
pub mod artifact;
pub mod kafka;
pub mod supervisor;
pub mod wire;
pub mod zookeeper;
