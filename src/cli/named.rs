//! Resources as people name them on the command line.

use super::CliError;
use crate::model::Key;
use crate::resource::NodeKind;
use crate::stack::{ValidStack, nearest};
use std::collections::BTreeSet;

/// The nodes of a declared stack that an option names.
pub(super) fn named_nodes(wanted: &[String], stack: &ValidStack) -> Result<BTreeSet<Key>, CliError> {
    let nodes = || stack.resources.keys().filter(|key| key.kind == NodeKind::NAME);
    wanted.iter().map(|name| named(name, nodes())).collect()
}

/// The resource that `wanted` names among `keys`: `kind/name`, or only a name where one resource has it.
pub(super) fn named<'a>(wanted: &str, keys: impl Iterator<Item = &'a Key>) -> Result<Key, CliError> {
    let keys: Vec<&Key> = keys.collect();
    let exact = |key: &&&Key| key.to_string() == wanted;
    if let Some(key) = keys.iter().find(exact) {
        return Ok((*key).clone());
    }
    let of_name: Vec<&Key> = keys.iter().copied().filter(|key| key.name == wanted).collect();
    let listed = |keys: &[&Key]| keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match of_name.as_slice() {
        [key] => Ok((*key).clone()),
        [] => Err(CliError::Usage {
            message: format!("there is no resource `{wanted}`"),
            hint: match nearest(wanted, keys.iter().map(|key| key.name.as_str())) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("there are: {}", listed(&keys)),
            },
        }),
        several => Err(CliError::Usage {
            message: format!("`{wanted}` is the name of several resources"),
            hint: format!("say which: {}", listed(several)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_enough_where_one_resource_has_it() {
        let keys = [Key::new("host", "a"), Key::new("node", "a"), Key::new("topic", "t")];
        let found = |wanted| named(wanted, keys.iter()).map_err(|error| error.to_string());
        assert_eq!(found("t"), Ok(Key::new("topic", "t")));
        assert_eq!(found("node/a"), Ok(Key::new("node", "a")));
        assert_eq!(found("a"), Err("`a` is the name of several resources".into()));
        assert_eq!(found("b"), Err("there is no resource `b`".into()));
    }
}
