//! `octad up --dry-activate` and `--boot`: machines get their new systems and don't run them yet.

use super::CliError;
use super::session::Session;
use crate::engine::{self, Checked, Context, Plan, Store};
use crate::host::Host;
use crate::model::Key;
use crate::resource::{KindError, Surroundings as _};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Has machines tell what running their new systems would do.
pub(super) async fn dry(
    session: &Session,
    context: &Context,
    store: &mut Store,
    plan: &Plan<Checked>,
) -> Result<(), CliError> {
    for (key, host) in staged(session, context, store, plan).await? {
        let said = host.dry_activate().await.map_err(acted)?;
        for line in said.unwrap_or_default().lines().filter(|line| !line.is_empty()) {
            session.events().notice(format!("{}: {line}", key.name));
        }
    }
    session.events().notice("nothing was changed");
    Ok(())
}

/// Has machines boot their new systems from now on.
pub(super) async fn boot(
    session: &Session,
    context: &Context,
    store: &mut Store,
    plan: &Plan<Checked>,
) -> Result<(), CliError> {
    for (key, host) in staged(session, context, store, plan).await? {
        if host.boot_later().await.map_err(acted)? {
            session.events().notice(format!("{} boots its new system from now on", key.name));
        }
    }
    session
        .events()
        .notice("nothing else was changed: each goes on as it is until it boots, or until `octad up`");
    Ok(())
}

fn acted(error: crate::host::HostError) -> CliError {
    CliError::Prepare(KindError::Host(error))
}

/// The machines that a plan changes as a whole, once all is made ready for them.
async fn staged(
    session: &Session,
    context: &Context,
    store: &mut Store,
    plan: &Plan<Checked>,
) -> Result<Vec<(Key, Arc<dyn Host>)>, CliError> {
    let made = plan.steps.iter().flat_map(|step| step.action.makes());
    let hosts: BTreeSet<Key> = made
        .filter_map(|(key, inputs)| {
            let kind = context.registry().kind(&key.kind)?;
            Some(kind.stands_on(inputs).unwrap_or_else(|| key.clone()))
        })
        .filter(|host| context.changes_whole(host))
        .collect();
    if hosts.is_empty() {
        return Err(CliError::Usage {
            message: "nothing that is to be changed is a machine with a system of its own".into(),
            hint: "`octad preview` shows what is to be changed".into(),
        });
    }
    tokio::select! {
        staged = engine::stage(context, store, plan) => staged?,
        () = session.interrupt().wait() => return Err(CliError::Cancelled),
    }
    let host = |key: Key| Ok((key.clone(), context.host(&key).map_err(CliError::Prepare)?));
    hosts.into_iter().map(host).collect()
}
