//! `octad` alone: how things stand, and the next sensible command.

use super::CliError;
use super::session::Session;
use crate::output::Overview;
use crate::report::exit;

pub(super) async fn run(session: &Session) -> Result<u8, CliError> {
    let mut overview = Overview::new(&session.invocation());
    for name in session.stacks() {
        let state = session.state(&name)?;
        if !state.is_empty() {
            let cut_off = state.resources.values().any(|resource| resource.is_pending());
            let there = session.invocation_for(name.as_ref());
            overview.add(&session.status(name, &state).await?, cut_off, &there);
        }
    }
    session.output().overview(&overview);
    Ok(exit::OK)
}
