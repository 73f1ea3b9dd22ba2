//! `octad admit`: whether a server may start on the data disk that it has. Run by systemd in `ExecStartPre`; on local hosts
//! `up` asks the same before it gives leave to begin with nothing, and the supervisor looks for that leave.

use super::CliError;
use super::session::Session;
use crate::causes::with_causes;
use crate::kafka::{self, NotEmpty};
use crate::report::exit;
use crate::supervisor::{Beginning, Begun};
use crate::zookeeper::{self, Admitted, NotAdmitted};
use clap::Args;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Say whether a server may start on the data disk that it has: one that is empty may have been lost or replaced
#[derive(Debug, Args)]
#[command(
    after_help = "A disk that its server has written to is well. One that is empty must hold the leave to begin with \
    nothing, the file `octad-fresh`, which who formats it puts there. It says `new`, and is worth nothing where the \
    cluster counts on the server already; or `refill`, and is worth nothing where the others don't have all that it \
    had. It is gone with the next start once the server has written. Without leave a broker isn't started, and a \
    ZooKeeper server asks the others for all that it lacks before it votes. One with leave trusts its disk only where \
    each of the others says that it is new as well: they ask each other at the addresses where they are to serve, \
    and begin once most of them know.\n\nExamples:\n  \
    octad admit --data /var/lib/octad --zookeeper 10.0.0.11:2181,10.0.0.12:2181 --broker 3 --min-insync-replicas 2\n  \
    octad admit --data /var/lib/octad --servers 10.0.0.11:2181,10.0.0.12:2181,10.0.0.13:2181 --own 10.0.0.11:2181"
)]
pub(super) struct Admit {
    /// Where the disk is mounted
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The ensemble's servers, for a broker
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT", requires = "broker")]
    zookeeper: Vec<String>,
    /// The broker's id
    #[arg(long, value_name = "ID", requires = "zookeeper")]
    broker: Option<i32>,
    /// The broker's min.insync.replicas, for topics that don't say otherwise
    #[arg(long, default_value_t = 1, value_name = "N")]
    min_insync_replicas: usize,
    /// The servers of the ensemble that a ZooKeeper server is one of; none where it is alone
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "HOST:PORT",
        conflicts_with = "broker",
        requires = "own"
    )]
    servers: Vec<String>,
    /// Which of them it is
    #[arg(long, value_name = "HOST:PORT", requires = "servers")]
    own: Option<String>,
    /// How long ZooKeeper may take to answer, 10s where not said, or the other servers to tell that they are new, 60s
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    limit: Option<Duration>,
}

/// How long ZooKeeper may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long new servers wait for each other in one attempt: less than the 90 s that systemd gives to a start, and more than
/// the 30 s between two attempts, so that each hears of all others that are there.
const OTHERS: Duration = Duration::from_secs(60);

/// What ZooKeeper removes as it trusts an empty directory.
const INITIALIZE: &str = "initialize";

/// What is said of a server that begins with nothing.
const NEW: &str = "the disk is new, and so is the server";

/// What a leave says where the others are to fill the disk.
const REFILL: &str = "refill";

impl Admit {
    pub(super) async fn run(self, session: &Session) -> Result<u8, CliError> {
        let answer = match self.broker {
            Some(broker) => self.broker(broker).await,
            None => self.server().await,
        };
        let (said, code) = match answer {
            Ok(said) => (said, exit::OK),
            Err(said) => (format!("not started: {said}"), exit::REFUSED),
        };
        session.output().line(&said);
        Ok(code)
    }

    /// A broker on an empty disk counts as in sync with all that it had.
    async fn broker(&self, broker: i32) -> Result<String, String> {
        let begins = Beginning::on(&self.data, "meta.properties");
        let limit = self.limit.unwrap_or(ANSWER);
        match self.look(&begins)? {
            Begun::Written => Ok("the disk is the broker's own".into()),
            Begun::Lost => Err(format!(
                "{} is empty, and nobody gave leave to begin with nothing: it may have been lost or replaced",
                self.data.display()
            )),
            Begun::Fresh if is_refill(&begins.leave)? => {
                let spared = kafka::is_spared(&self.zookeeper, broker, self.min_insync_replicas, limit).await;
                spared.map(|()| "the others fill the disk".into()).map_err(|error| told(&error))
            }
            Begun::Fresh => {
                let new = kafka::is_new(&self.zookeeper, broker, limit).await;
                new.map(|()| "the disk is new, and so is the broker".into()).map_err(|error| told(&error))
            }
        }
    }

    /// A ZooKeeper server on an empty disk asks the others for what it lacks, unless it is told to trust its emptiness. It
    /// may where whoever formatted the disk said that it is a new one's, and each of the others says so of its own.
    async fn server(&self) -> Result<String, String> {
        let begins = Beginning::on(&self.data, "version-2");
        let initialize = self.data.join(INITIALIZE);
        let trusted = initialize.try_exists().map_err(|error| failed(&initialize, &error))?;
        match self.look(&begins)? {
            Begun::Written => return Ok("the disk is the server's own".into()),
            // It was told to trust its disk before, and the others may still ask it.
            _ if trusted => {}
            Begun::Lost => return Ok("the disk is empty: the others are asked for all".into()),
            Begun::Fresh if is_refill(&begins.leave)? => {
                return self.without_leave(&begins.leave, "the others fill the disk");
            }
            Begun::Fresh => {}
        }
        let trust = || {
            fs::rename(&begins.leave, &initialize)?;
            File::open(&self.data)?.sync_all()
        };
        let own = self.own.as_deref().unwrap_or_default();
        let others: Vec<String> = self.servers.iter().filter(|server| *server != own).cloned().collect();
        if others.is_empty() {
            let noted = if trusted { Ok(()) } else { trust() };
            return noted.map(|()| NEW.to_owned()).map_err(|error| failed(&begins.leave, &error));
        }
        match zookeeper::admit(own, &others, trusted, trust, self.limit.unwrap_or(OTHERS)).await {
            Ok(Admitted::Begins) => Ok(NEW.to_owned()),
            Ok(Admitted::Joins) => {
                self.without_leave(&begins.leave, "the ensemble serves without it, and fills the disk")
            }
            Err(error @ NotAdmitted::Waits { .. }) => Err(format!(
                "the disk is empty, and {}; where this is no new ensemble, format the disk with \
                 `octad-format-data-disk --refill`",
                with_causes(&error)
            )),
            Err(error) => Err(with_causes(&error)),
        }
    }

    fn without_leave(&self, leave: &Path, said: &str) -> Result<String, String> {
        fs::remove_file(leave).map(|()| said.to_owned()).map_err(|error| failed(leave, &error))
    }

    fn look(&self, begins: &Beginning) -> Result<Begun, String> {
        begins.take().map_err(|error| failed(&self.data, &error))
    }
}

fn is_refill(leave: &Path) -> Result<bool, String> {
    let text = fs::read_to_string(leave).map_err(|error| failed(leave, &error))?;
    Ok(text.trim() == REFILL)
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("{} can't be looked at: {error}", path.display())
}

fn told(error: &NotEmpty) -> String {
    let hint = match error {
        NotEmpty::Assigned { .. } => {
            "; bring its disk back, or move its replicas away, or, where the others have all of it, format the disk \
             with `octad-format-data-disk --refill`"
        }
        NotEmpty::HeldByTooFew { .. } => "; bring the others back first",
        NotEmpty::Unknown(_) => "",
    };
    format!("{}{hint}", with_causes(error))
}
