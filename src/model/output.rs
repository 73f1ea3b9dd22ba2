//! Values that may be known only after another resource exists. Pure data: a reference to a field or a text made of
//! such, never a closure, so that plans can be saved and compared.

use super::Key;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value of type `T`, or where it will come from.
///
/// In JSON a known value is written as itself, a reference as `{"$ref": "host/broker-1", "field": "address"}` and a
/// text with references in it as `{"$format": [...]}`. [`resolve`] fills references in; a preview shows those that
/// remain as "known after up".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Output<T> {
    /// An output of another resource of the stack.
    Reference(Reference),
    /// A text made of literals and references.
    Format(Format),
    /// The value itself.
    Known(T),
}

/// A field among the outputs of a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The resource that has the field.
    #[serde(rename = "$ref")]
    pub resource: Key,
    /// The field's name among that resource's outputs.
    pub field: String,
}

/// A text whose parts are joined once all are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// The parts, in order.
    #[serde(rename = "$format")]
    pub parts: Vec<Output<String>>,
}

/// A value was asked for that is known only after `up`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value is known only after up")]
pub struct NotYetKnown;

impl<T> Output<T> {
    /// The value, where it is known already.
    ///
    /// # Errors
    /// [`NotYetKnown`] for a reference or a format that has not been resolved.
    pub fn known(&self) -> Result<&T, NotYetKnown> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Reference(_) | Self::Format(_) => Err(NotYetKnown),
        }
    }
}

/// ```
/// use octad::model::{Key, Output, Reference, references, resolve};
/// use serde_json::json;
///
/// let address = Output::Reference(Reference { resource: Key::new("host", "web-1"), field: "address".into() });
/// let endpoint = Output::format([address, ":9092".into()]);
/// assert!(endpoint.known().is_err(), "known after up");
///
/// // Once the host is there, its outputs fill the reference in.
/// let known = resolve(&json!(endpoint), &|reference| (reference.field == "address").then(|| json!("10.0.0.7")));
/// assert_eq!(known, json!("10.0.0.7:9092"));
/// assert!(references(&known).is_empty());
/// ```
impl Output<String> {
    /// A text of several parts. Adjacent known parts are joined, so that a text without references is simply known.
    pub fn format(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut joined: Vec<Self> = Vec::new();
        let flat = parts.into_iter().flat_map(|part| match part {
            Self::Format(format) => format.parts,
            other => vec![other],
        });
        for part in flat {
            match (joined.last_mut(), part) {
                (Some(Self::Known(text)), Self::Known(more)) => text.push_str(&more),
                (_, part) => joined.push(part),
            }
        }
        match joined.as_slice() {
            [] => Self::Known(String::new()),
            [Self::Known(_)] => joined.remove(0),
            _ => Self::Format(Format { parts: joined }),
        }
    }

    /// Joins texts with a separator, as `[String]::join` does.
    pub fn join(parts: impl IntoIterator<Item = Self>, separator: &str) -> Self {
        let mut all = Vec::new();
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                all.push(Self::from(separator));
            }
            all.push(part);
        }
        Self::format(all)
    }
}

impl From<&str> for Output<String> {
    fn from(text: &str) -> Self {
        Self::Known(text.to_owned())
    }
}

impl From<String> for Output<String> {
    fn from(text: String) -> Self {
        Self::Known(text)
    }
}

/// Fills in every reference within `value` that `lookup` knows; the others stay as they are.
pub fn resolve(value: &Value, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Value {
    if let Some(reference) = as_reference(value) {
        return lookup(&reference).unwrap_or_else(|| value.clone());
    }
    match value {
        Value::Array(items) => items.iter().map(|item| resolve(item, lookup)).collect(),
        Value::Object(fields) if fields.contains_key("$format") => resolve_format(value, lookup),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), resolve(field, lookup))).collect()
        }
        other => other.clone(),
    }
}

fn resolve_format(value: &Value, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Value {
    let Ok(format) = Format::deserialize(value) else { return value.clone() };
    let parts = format.parts.into_iter().map(|part| match part {
        Output::Reference(reference) => match lookup(&reference) {
            Some(Value::String(text)) => Output::Known(text),
            Some(other) => Output::Known(other.to_string()),
            None => Output::Reference(reference),
        },
        other => other,
    });
    match Output::format(parts) {
        Output::Known(text) => Value::String(text),
        unresolved => serde_json::json!(unresolved),
    }
}

/// All references within `value`, in the order they stand.
pub fn references(value: &Value) -> Vec<Reference> {
    match (as_reference(value), value) {
        (Some(reference), _) => vec![reference],
        (None, Value::Array(items)) => items.iter().flat_map(references).collect(),
        (None, Value::Object(fields)) => fields.values().flat_map(references).collect(),
        (None, _) => Vec::new(),
    }
}

fn as_reference(value: &Value) -> Option<Reference> {
    value.as_object().filter(|fields| fields.contains_key("$ref"))?;
    Reference::deserialize(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn address_of(host: &str) -> Output<String> {
        Output::Reference(Reference { resource: Key::new("host", host), field: "address".into() })
    }

    #[test]
    fn a_text_without_references_is_known_at_once() {
        let text = Output::join([Output::from("a:1"), Output::from("b:1")], ",");
        assert_eq!(text, Output::from("a:1,b:1"));
    }

    #[test]
    fn references_are_filled_in_wherever_they_stand() {
        let connect =
            Output::format([address_of("zk-1"), ":2181,".into(), address_of("zk-2"), ":2181".into()]);
        let value = json!({ "settings": { "connect": connect, "own": [address_of("zk-1")] } });
        let lookup = |r: &Reference| Some(json!(format!("10.0.0.{}", &r.resource.name[3..])));
        assert_eq!(
            resolve(&value, &lookup),
            json!({ "settings": { "connect": "10.0.0.1:2181,10.0.0.2:2181", "own": ["10.0.0.1"] } })
        );
    }

    #[test]
    fn what_is_not_yet_known_stays_a_reference() {
        let value = json!({ "connect": Output::format([address_of("zk-1"), ":2181".into()]) });
        assert_eq!(resolve(&value, &|_| None), value);
        assert_eq!(references(&value).len(), 1);
    }

    #[test]
    fn an_output_reads_back_as_written() {
        for output in [Output::from("x"), address_of("zk-1"), Output::format([address_of("a"), ":1".into()])]
        {
            let text = serde_json::to_string(&output).unwrap();
            assert_eq!(serde_json::from_str::<Output<String>>(&text).unwrap(), output);
        }
    }
}
