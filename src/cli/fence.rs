//! `octad fence`: ends what a dead broker still holds in ZooKeeper. Run by supervisors, and by systemd as
//! `ExecStopPost`.

use super::CliError;
use super::session::Session;
use crate::causes::with_causes;
use crate::kafka::{self, Registration};
use crate::report::exit;
use crate::supervisor::other_processes;
use clap::Args;
use std::time::{Duration, Instant, SystemTime};

/// End the ZooKeeper session of a broker whose process is dead, so that nobody waits until it expires
#[derive(Debug, Args)]
#[command(
    after_help = "Supervisors run it behind every end of a broker's process; one that said goodbye holds nothing any \
    more. As ExecStopPost of a systemd service it looks at the service's control group, and ends nothing while a process \
    is left in it.\n\nExamples:\n  \
    octad fence --zookeeper 10.0.0.11:2181,10.0.0.12:2181 --broker 3 --endpoints PLAINTEXT://10.0.0.103:9092"
)]
pub(super) struct Fence {
    /// The ensemble's servers
    #[arg(long, required = true, value_delimiter = ',', value_name = "HOST:PORT")]
    zookeeper: Vec<String>,
    /// The broker's id
    #[arg(long, value_name = "ID")]
    broker: i32,
    /// The broker's advertised listeners; a registration with others is left alone
    #[arg(long, required = true, value_delimiter = ',', value_name = "LISTENER")]
    endpoints: Vec<String>,
    /// How long ZooKeeper may take
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = humantime::parse_duration)]
    limit: Duration,
}

impl Fence {
    pub(super) async fn run(self, session: &Session) -> Result<u8, CliError> {
        // What registers after this moment is alive.
        let died = SystemTime::now();
        let (said, code) = match may_live() {
            None => self.fence(died).await,
            Some(why) => (format!("not fenced: {why}"), exit::FAILED),
        };
        session.output().line(&said);
        Ok(code)
    }

    async fn fence(self, died: SystemTime) -> (String, u8) {
        let registration =
            Registration { zookeeper: self.zookeeper, broker: self.broker, endpoints: self.endpoints };
        let begun = Instant::now();
        let fenced = kafka::fence(&registration, died, self.limit).await;
        let took = begun.elapsed().as_millis();
        match fenced {
            Ok(fenced) => (format!("{fenced} ({took} ms)"), exit::OK),
            Err(error) => (format!("not fenced: {} ({took} ms)", with_causes(&error)), exit::FAILED),
        }
    }
}

/// Why the broker's process may not be dead. A supervisor has reaped it, and a person knows; systemd runs what stands
/// behind a service also where processes of it are left. How the service ended doesn't matter: systemd doesn't tell
/// whether it was asked for that, and a broker that said goodbye holds nothing any more.
fn may_live() -> Option<String> {
    std::env::var_os("SERVICE_RESULT")?;
    match other_processes() {
        Ok(left) if left.is_empty() => None,
        Ok(left) => Some(format!("processes {left:?} of the service are still there")),
        Err(error) => Some(format!("can't tell whether the service is dead: {error}")),
    }
}
