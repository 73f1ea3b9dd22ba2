//! What Octad uses of the machine that it runs on and doesn't bring along: the one table of it, which packages have it,
//! and their installation. Knows nothing of stacks; who needs what is said by the backend or the client that needs it.

mod environment;
mod family;
mod install;

pub use environment::Environment;
pub(crate) use environment::is_executable;
pub use family::Family;
pub use install::{InstallError, Installer};

use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;

/// Java 17 or newer.
pub const JAVA: &str = "java";
/// Maven.
pub const MAVEN: &str = "mvn";
/// Of iproute2.
pub const IP: &str = "ip";
/// Makes the file systems of disks.
pub const MKFS: &str = "mkfs.ext4";
/// Mounts them.
pub const MOUNT: &str = "mount";
/// Tells the kernel's packet filter what to drop.
pub const NFT: &str = "nft";

/// A program or a file of the machine.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tool {
    /// A program's name, or a file's path.
    pub name: &'static str,
    /// What it is for.
    pub purpose: Purpose,
    /// What it is in, by the order of [`Family::ALL`], as the table has it.
    packages: Vec<&'static str>,
}

/// What a tool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Building Octad from its source.
    Build,
    /// Running the servers.
    Servers,
    /// Fetching their jars.
    Jars,
    /// Hosts in network namespaces, which can be cut off.
    Netns,
    /// Hosts with disks of their own.
    Disks,
    /// The scripts of a checkout that measure and that kill Octad at random.
    Measure,
}

impl Purpose {
    /// By the words of the table.
    const ALL: [(&str, Self); 6] = [
        ("build", Self::Build),
        ("servers", Self::Servers),
        ("jars", Self::Jars),
        ("netns", Self::Netns),
        ("disks", Self::Disks),
        ("measure", Self::Measure),
    ];

    /// The words that the table and the command line have for them.
    pub fn words() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(word, _)| *word)
    }

    /// The purpose of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, purpose)| *purpose)
    }
}

/// As something that takes a tool.
impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Build => "building octad",
            Self::Servers => "running the servers",
            Self::Jars => "fetching the servers' jars",
            Self::Netns => "isolation = \"netns\", as root",
            Self::Disks => "disk-mib, as root",
            Self::Measure => "the scripts that measure",
        })
    }
}

/// Stands in the table where a family has something in another place.
const ELSEWHERE: &str = "-";

static TABLE: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    let rows = include_str!("table.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|row| Tool::parse(row).unwrap_or_else(|| panic!("a test reads the table: {row}"))).collect()
});

impl Tool {
    fn parse(row: &'static str) -> Option<Self> {
        let mut fields = row.split_whitespace();
        let (name, purpose) = (fields.next()?, fields.next()?);
        let purpose = Purpose::of(purpose)?;
        let packages: Vec<_> = fields.collect();
        (packages.len() == Family::ALL.len()).then_some(Self { name, purpose, packages })
    }

    /// All that count on this machine, in the order of the table.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let family = Family::of_this_machine();
        let elsewhere = move |tool: &Self| family.is_some_and(|family| tool.column(family) == ELSEWHERE);
        TABLE.iter().filter(move |tool| !elsewhere(tool))
    }

    /// The tool of this name, where the table has it.
    pub fn known(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|tool| tool.name == name)
    }

    /// The tool of this name.
    ///
    /// # Panics
    /// Where the table has none: names are the constants of this module.
    pub fn named(name: &str) -> &'static Self {
        Self::known(name).unwrap_or_else(|| panic!("{name} is not in the table of tools"))
    }

    /// Where it is on this machine.
    pub fn path(&self) -> Option<PathBuf> {
        if self.name.starts_with('/') {
            return Some(PathBuf::from(self.name)).filter(|path| path.exists());
        }
        find(self.name)
    }

    /// What a family's distributions have it in: all of these packages, each the first that there is of these names.
    fn packages(&self, family: Family) -> impl Iterator<Item = Vec<&'static str>> {
        self.column(family).split(',').map(|names| names.split('|').collect())
    }

    fn column(&self, family: Family) -> &'static str {
        let column = Family::ALL.iter().position(|other| *other == family);
        column.and_then(|column| self.packages.get(column).copied()).unwrap_or_default()
    }
}

/// Finds a program of the machine, also where only administrators look for programs.
pub fn find(program: &str) -> Option<PathBuf> {
    // A shell that wasn't root's from its beginning doesn't look there.
    const ADMINISTRATORS: &str = "/usr/local/sbin:/usr/sbin:/sbin";
    let environment = Environment::from_process();
    environment.program(program).or_else(|| environment.with("PATH", ADMINISTRATORS).program(program))
}

/// A tool that this machine doesn't have, or not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// Which.
    pub tool: &'static Tool,
    /// What is wrong, for people.
    pub why: String,
}

impl Lack {
    /// What is said of a tool that isn't there at all.
    pub fn of(tool: &'static Tool) -> Self {
        Self { tool, why: format!("{}, which {} takes, is not there", tool.name, tool.purpose) }
    }
}

/// Those of the tools of these names that this machine doesn't have.
pub fn lacking(names: &[&str]) -> Vec<Lack> {
    let missing = names.iter().map(|name| Tool::named(name)).filter(|tool| tool.path().is_none());
    missing.map(Lack::of).collect()
}

/// Their names, separated by commas.
pub fn names(lacks: &[Lack]) -> String {
    lacks.iter().map(|lack| lack.tool.name).collect::<Vec<_>>().join(", ")
}

/// How a person gets tools on this machine: a command, or what to look for.
pub fn how_to_get(lacks: &[Lack]) -> String {
    match Family::of_this_machine() {
        Some(family) => format!("`{}`", family.command(&family.packages(lacks))),
        None => format!("install {}", names(lacks)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_a_package_for_every_family() {
        assert!(TABLE.len() > 6);
        for tool in TABLE.iter() {
            for family in Family::ALL {
                let packages: Vec<_> = tool.packages(family).flatten().collect();
                assert!(!packages.is_empty() && packages.iter().all(|name| !name.is_empty()), "{tool:?}");
            }
        }
    }

    #[test]
    fn every_name_is_in_the_table_and_every_purpose_has_a_tool() {
        for name in [JAVA, MAVEN, IP, MKFS, MOUNT, NFT] {
            assert_eq!(Tool::named(name).name, name);
        }
        for (_, purpose) in Purpose::ALL {
            assert!(TABLE.iter().any(|tool| tool.purpose == purpose), "{purpose:?}");
        }
    }

    #[test]
    fn a_row_with_a_column_too_few_or_a_purpose_that_is_none_is_not_read() {
        assert!(
            Tool::parse("nft netns nftables nftables nftables nftables nftables").is_some(),
            "the detector"
        );
        assert!(Tool::parse("nft netns nftables nftables nftables nftables").is_none());
        assert!(Tool::parse("nft fun nftables nftables nftables nftables nftables").is_none());
    }

    #[test]
    fn what_is_there_is_found_and_nothing_else() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("no-such-program"), None);
        let tool = |name| Tool { name, purpose: Purpose::Build, packages: Vec::new() };
        assert_eq!(tool("/etc").path(), Some("/etc".into()));
        assert_eq!(tool("/no/such/directory").path(), None);
    }
}
