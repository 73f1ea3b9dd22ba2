//! Tests that a machine can't run say so past the capture of their output, and fail where none may be skipped.

use std::io::Write as _;

/// Tells what is skipped and why.
///
/// # Panics
/// Where `OCTAD_NO_SKIP` is set, as CI does it.
#[allow(unreachable_pub, reason = "each test crate includes this file")]
pub fn skip(why: &str) {
    assert!(std::env::var_os("OCTAD_NO_SKIP").is_none(), "nothing may be skipped here: {why}");
    // Not by a macro of the standard library: those are captured, and a test that passes says nothing.
    let _ = writeln!(std::io::stderr(), "SKIPPED, {why}");
}
