//! Families of Linux distributions: how packages are called and installed there.

use super::Lack;
use std::collections::BTreeSet;
use std::process::Command;

/// Distributions that share package names and a package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu and what is made of them: apt-get.
    Debian,
    /// Fedora, Red Hat Enterprise Linux and its like: dnf.
    Fedora,
    /// Arch Linux: pacman.
    Arch,
    /// openSUSE and SUSE: zypper.
    Suse,
    /// NixOS: a shell that has them.
    Nixos,
}

impl Family {
    /// All, in the order of the table's columns.
    pub const ALL: [Self; 5] = [Self::Debian, Self::Fedora, Self::Arch, Self::Suse, Self::Nixos];

    /// This machine's, as its `os-release` tells; `None` where it isn't known.
    pub fn of_this_machine() -> Option<Self> {
        Self::of_text(&std::fs::read_to_string("/etc/os-release").ok()?)
    }

    /// By `ID`, else by the first known one of `ID_LIKE`.
    fn of_text(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.map(|value| value.trim().trim_matches(['"', '\''])).unwrap_or_default()
        };
        let names = value("ID").split_whitespace().chain(value("ID_LIKE").split_whitespace());
        names.into_iter().find_map(|name| match name {
            "debian" | "ubuntu" => Some(Self::Debian),
            "fedora" | "rhel" | "centos" => Some(Self::Fedora),
            "arch" => Some(Self::Arch),
            "suse" | "opensuse" | "opensuse-leap" | "opensuse-tumbleweed" => Some(Self::Suse),
            "nixos" => Some(Self::Nixos),
            _ => None,
        })
    }

    /// The packages of what is lacking, of each choice the first that there is, none twice.
    pub(super) fn packages(self, lacks: &[Lack]) -> Vec<&'static str> {
        let choices = lacks.iter().flat_map(|lack| lack.tool.packages(self));
        let chosen: BTreeSet<_> = choices.filter_map(|names| self.chosen(&names)).collect();
        chosen.into_iter().collect()
    }

    /// The first of the names that the package lists have; the first at all where that can't be told, as on a machine
    /// whose lists were never fetched.
    fn chosen(self, names: &[&'static str]) -> Option<&'static str> {
        let known = |name: &&&str| {
            let show = Command::new("apt-cache").args(["show", "--no-all-versions", name]).output();
            show.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
        };
        let known = if self == Self::Debian && names.len() > 1 { names.iter().find(known) } else { None };
        known.or(names.first()).copied()
    }

    /// What a person types to get packages.
    pub(super) fn command(self, packages: &[&str]) -> String {
        let packages = packages.join(" ");
        match self {
            Self::Debian => format!("apt-get install {packages}"),
            Self::Fedora => format!("dnf install {packages}"),
            Self::Arch => format!("pacman -S {packages}"),
            Self::Suse => format!("zypper install {packages}"),
            Self::Nixos => format!("nix-shell -p {packages}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::{JAVA, MAVEN, Tool};

    #[test]
    fn distributions_are_known_by_their_name_or_by_what_they_are_like() {
        for (text, family) in [
            ("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n", Some(Family::Debian)),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Some(Family::Debian)),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Some(Family::Fedora)),
            ("ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n", Some(Family::Suse)),
            ("ID=arch\n", Some(Family::Arch)),
            ("ID=nixos\n", Some(Family::Nixos)),
            ("ID=plan9\n", None),
            ("", None),
        ] {
            assert_eq!(Family::of_text(text), family, "{text}");
        }
    }

    #[test]
    fn a_command_names_each_package_once_in_the_words_of_the_family() {
        let lacks = |names: &[&str]| names.iter().map(|name| Lack::of(Tool::named(name))).collect::<Vec<_>>();
        let command = |family: Family| family.command(&family.packages(&lacks(&[JAVA, MAVEN, MAVEN])));
        let debian = command(Family::Debian);
        assert!(debian.starts_with("apt-get install maven openjdk-"), "{debian}");
        assert_eq!(command(Family::Fedora), "dnf install java-21-openjdk-headless maven");
        let both = Family::Debian.packages(&lacks(&["cc", "c++"]));
        assert_eq!(both, ["g++", "gcc", "libc6-dev"]);
    }
}
