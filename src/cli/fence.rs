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
    after_help = "Supervisors run it when a broker's process has ended otherwise than by a stop. As ExecStopPost \
    of a systemd service it looks at SERVICE_RESULT (nothing to do after an orderly stop) and at the service's control \
    group (nothing is ended while a process is left in it).\n\nExamples:\n  \
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
        let (said, code) = match standing() {
            Standing::Dead => self.fence(died).await,
            Standing::StoppedInOrder => ("nothing to do: the service stopped in order".to_owned(), exit::OK),
            Standing::Uncertain(why) => (format!("not fenced: {why}"), exit::FAILED),
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

/// What the caller tells of the broker's process.
enum Standing {
    Dead,
    StoppedInOrder,
    Uncertain(String),
}

fn standing() -> Standing {
    match std::env::var("SERVICE_RESULT").as_deref() {
        Ok("success") => Standing::StoppedInOrder,
        Ok(_) => match other_processes() {
            Ok(left) if left.is_empty() => Standing::Dead,
            Ok(left) => Standing::Uncertain(format!("processes {left:?} of the service are still there")),
            Err(error) => Standing::Uncertain(format!("can't tell whether the service is dead: {error}")),
        },
        // A supervisor, which has reaped the process, or a person, who knows.
        Err(_) => Standing::Dead,
    }
}
