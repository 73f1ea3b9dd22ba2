//! `jars.lock`: what a set's jars must be. Pure.

use super::digest::{Digest, NotADigest};

/// One jar of a set, as the lock pins it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jar {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Size of the file in bytes.
    pub size: u64,
    /// `group:artifact:version[:classifier]`.
    pub coordinates: String,
    /// The file's name in a Maven repository: `artifact-version[-classifier].jar`.
    pub file_name: String,
}

impl Jar {
    /// The file's name in the store.
    pub fn store_name(&self) -> String {
        format!("{}-{}", self.digest, self.file_name)
    }
}

/// A line of a lock that can't be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lock of {set} is malformed at line {line}")]
pub struct LockError {
    /// The set, `name version`.
    pub set: String,
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with the line.
    #[source]
    pub fault: LockFault,
}

/// What is wrong with a line of a lock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockFault {
    /// Not digest, size, coordinates and file name.
    #[error("it has {found} fields; digest, size, coordinates and file name are 4")]
    Fields {
        /// Fields found.
        found: usize,
    },
    /// The first field.
    #[error(transparent)]
    Digest(#[from] NotADigest),
    /// The second field isn't a number of bytes.
    #[error("{0:?} is not a size in bytes")]
    Size(String),
    /// The third field isn't `group:artifact:version[:classifier]`.
    #[error("{0:?} are not coordinates of the form group:artifact:version[:classifier]")]
    Coordinates(String),
    /// The fourth field isn't the name that Maven gives the coordinates' jar.
    #[error("the jar of these coordinates is called {expected}, not {found:?}")]
    FileName {
        /// The name that follows from the coordinates.
        expected: String,
        /// The name found.
        found: String,
    },
    /// Coordinates not greater than those of the line before.
    #[error("{coordinates} comes twice or out of order")]
    Order {
        /// The line's coordinates.
        coordinates: String,
    },
    /// No jar at all.
    #[error("it names no jar")]
    Empty,
}

/// Reads a lock: one jar a line, sorted by coordinates; blank lines and lines that begin with `#` don't count.
pub(super) fn parse(set: &str, text: &str) -> Result<Vec<Jar>, LockError> {
    let refuse = |line, fault| LockError { set: set.to_owned(), line, fault };
    let mut jars: Vec<Jar> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let jar = entry(line).map_err(|fault| refuse(index + 1, fault))?;
        if jars.last().is_some_and(|before| before.coordinates >= jar.coordinates) {
            return Err(refuse(index + 1, LockFault::Order { coordinates: jar.coordinates }));
        }
        jars.push(jar);
    }
    if jars.is_empty() {
        return Err(refuse(text.lines().count(), LockFault::Empty));
    }
    Ok(jars)
}

fn entry(line: &str) -> Result<Jar, LockFault> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [digest, size, coordinates, file_name] = fields[..] else {
        return Err(LockFault::Fields { found: fields.len() });
    };
    let expected = file_name_of(coordinates).ok_or_else(|| LockFault::Coordinates(coordinates.to_owned()))?;
    if file_name != expected {
        return Err(LockFault::FileName { expected, found: file_name.to_owned() });
    }
    Ok(Jar {
        digest: digest.parse()?,
        size: size.parse().map_err(|_| LockFault::Size(size.to_owned()))?,
        coordinates: coordinates.to_owned(),
        file_name: expected,
    })
}

/// Since it is held against this, a file name can't lead out of the store or split a class path.
fn file_name_of(coordinates: &str) -> Option<String> {
    let parts: Vec<&str> = coordinates.split(':').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    if !parts.iter().all(plain) {
        return None;
    }
    match parts[..] {
        [_, artifact, version] => Some(format!("{artifact}-{version}.jar")),
        [_, artifact, version, classifier] => Some(format!("{artifact}-{version}-{classifier}.jar")),
        _ => None,
    }
}

/// Digest of the entries alone: comments, blank lines and spacing of the lock don't change it.
pub(super) fn digest(jars: &[Jar]) -> Digest {
    let lines: Vec<String> = jars
        .iter()
        .map(|Jar { digest, size, coordinates, file_name }| {
            format!("{digest} {size} {coordinates} {file_name}")
        })
        .collect();
    Digest::of_parts(lines.iter().map(String::as_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn fault(line: &str) -> LockFault {
        let error = parse("x 1", &format!("# head\n{line}\n")).unwrap_err();
        assert_eq!((error.set.as_str(), error.line), ("x 1", 2));
        error.fault
    }

    #[test]
    fn a_lock_gives_its_jars() {
        let text = format!("# head\n\n{A} 12 g.h:a:1 a-1.jar\n{A} 13 g.h:a:1:linux a-1-linux.jar\n");
        let jars = parse("x 1", &text).unwrap();
        assert_eq!(jars.len(), 2);
        assert_eq!(jars[1].size, 13);
        assert_eq!(jars[1].coordinates, "g.h:a:1:linux");
        assert_eq!(jars[1].store_name(), format!("{A}-a-1-linux.jar"));
    }

    #[test]
    fn malformed_lines_are_refused_with_what_is_wrong() {
        assert_eq!(fault(&format!("{A} 12 g:a:1")), LockFault::Fields { found: 3 });
        assert_eq!(fault("abc 12 g:a:1 a-1.jar"), LockFault::Digest(NotADigest { text: "abc".into() }));
        assert_eq!(fault(&format!("{A} -1 g:a:1 a-1.jar")), LockFault::Size("-1".into()));
        for bad in ["g:a", "g:a:1:c:d", "g::1", "g:../a:1", "g:.a:1"] {
            assert_eq!(fault(&format!("{A} 12 {bad} a-1.jar")), LockFault::Coordinates(bad.into()));
        }
        assert_eq!(
            fault(&format!("{A} 12 g:a:1 a-2.jar")),
            LockFault::FileName { expected: "a-1.jar".into(), found: "a-2.jar".into() }
        );
        assert_eq!(fault(""), LockFault::Empty);
    }

    #[test]
    fn a_jar_twice_or_out_of_order_is_refused() {
        let lock = |first: &str, second: &str| {
            format!("{A} 1 g:{first}:1 {first}-1.jar\n{A} 1 g:{second}:1 {second}-1.jar")
        };
        assert!(parse("x 1", &lock("a", "b")).is_ok());
        for text in [lock("b", "a"), lock("a", "a")] {
            assert!(matches!(parse("x 1", &text).unwrap_err().fault, LockFault::Order { .. }));
        }
    }

    #[test]
    fn digest_depends_on_entries_alone() {
        let of = |text: &str| digest(&parse("x 1", text).unwrap());
        let plain = of(&format!("{A} 12 g:a:1 a-1.jar"));
        assert_eq!(plain, of(&format!("# another head\n\n  {A}   12 g:a:1  a-1.jar\n")));
        assert_ne!(plain, of(&format!("{A} 13 g:a:1 a-1.jar")));
        // Part of node facts: a change here changes every node of every stack.
        assert_eq!(plain.to_string(), "f69ca0314e3558b63efce6d02de38c795e0ef0919d21887109e22808cb1d97ad");
    }
}
