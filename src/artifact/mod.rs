//! The servers' programs: published jars and archives pinned by SHA-256, a store that holds them, programs that the machine
//! has, and the Java that runs jars.
//!
//! An [`ArtifactSet`] is embedded in the binary: a Maven pom that says what to fetch and a lock that says what
//! must come of it. A [`Store`] turns a set into a [`ClassPath`], calling Maven only when a jar is missing or
//! spoiled. An archive is fetched over HTTP and unpacked there. [`Java`] and what else is [`Installed`] are the machine's own. [`archive_path`] names the class-data archive of a role.
//!
//! Does I/O: files of the store, Maven, HTTP, `java` and other programs. Knows nothing of stacks, nodes or how a server is started, and
//! reads no environment but the [`Environment`](crate::tool::Environment) it is given.

mod archive;
mod class_path;
mod digest;
mod error;
mod filling;
mod installed;
mod java;
mod lockfile;
mod maven;
mod progress;
mod set;
mod store;
mod survey;
mod unpack;

pub use archive::archive_path;
pub use class_path::ClassPath;
pub use digest::{Digest, NotADigest};
pub use error::ArtifactError;
pub use installed::{Installed, InstalledError};
pub use java::{Java, JavaError};
pub use lockfile::{Jar, LockError, LockFault};
pub use maven::MavenOutput;
pub use progress::{Activity, Progress};
pub use set::ArtifactSet;
pub use store::Store;
pub use survey::JarFault;
