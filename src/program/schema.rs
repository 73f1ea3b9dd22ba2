//! The JSON Schema of stack files, by which editors complete and check them while they are written. Pure.

use super::declare::{MOVED, Moved, PROGRAM};
use super::{Configuration, Programs};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

impl Programs {
    /// The schema of all stack files that these programs read, of draft 7, which most editors know.
    pub fn schema(&self) -> Value {
        let mut generator = SchemaSettings::draft07().into_generator();
        let programs = self.programs.iter();
        let one_of: Vec<Value> =
            programs.map(|(name, reader)| file_of(name, reader.schema, &mut generator)).collect();
        json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "Octad's stack files",
            "oneOf": one_of,
            "definitions": generator.take_definitions(true),
        })
    }
}

/// A program's configuration, with what every stack file may say besides.
fn file_of(program: &str, configuration: Configuration, generator: &mut SchemaGenerator) -> Value {
    // A configuration that may be anything has no object for a schema.
    let mut schema = match configuration(generator).to_value() {
        schema @ Value::Object(_) => schema,
        _ => json!({ "type": "object" }),
    };
    let properties = &mut schema["properties"];
    properties[PROGRAM] = json!({
        "description": "What the stack is made of: the program that reads the rest of this file.",
        "const": program,
    });
    properties[MOVED] = generator.subschema_for::<Vec<Moved>>().to_value();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    schema["required"] = [json!(PROGRAM)].into_iter().chain(required).collect();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the keys of `file` are that `schema` doesn't know.
    fn unknown(file: &Value, schema: &Value, whole: &Value) -> Vec<String> {
        let referred = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        let schema = match referred.and_then(|reference| whole.pointer(reference.strip_prefix('#')?)) {
            Some(definition) => definition,
            None => schema,
        };
        let Some(keys) = file.as_object() else { return Vec::new() };
        let within = |(key, value): (&String, &Value)| {
            let known = [&schema["properties"][key], &schema["additionalProperties"]];
            match known.into_iter().find(|known| known.is_object()) {
                Some(known) => {
                    unknown(value, known, whole).iter().map(|below| format!("{key}.{below}")).collect()
                }
                None => vec![key.clone()],
            }
        };
        keys.iter().flat_map(within).collect()
    }

    fn unknown_in(text: &str) -> Vec<String> {
        let (file, whole): (Value, _) = (toml::from_str(text).unwrap(), Programs::standard().schema());
        let of_program = |schema: &&Value| schema["properties"][PROGRAM]["const"] == file[PROGRAM];
        unknown(&file, whole["oneOf"].as_array().unwrap().iter().find(of_program).unwrap(), &whole)
    }

    #[test]
    fn a_program_that_takes_anything_has_a_schema_too() {
        let schema = Programs::default().program("any", |_, _: Value| ()).schema();
        assert_eq!(schema["oneOf"][0]["required"], json!(["program"]));
    }

    #[test]
    fn the_schema_knows_what_the_programs_read_and_nothing_else() {
        let text = "program = \"ha\"\n[hosts.zones]\na = [\"zk-1\"]\n[kafka]\nbrokers = 3\n[kafka.settings]\n\
                    \"num.io.threads\" = 4\n[topics.orders]\npartitions = 1\n[[moved]]\nfrom = \"a\"\nto = \"b\"\n";
        assert_eq!(unknown_in(text), [""; 0]);
        for (right, wrong, told) in [
            ("brokers", "broker", "kafka.broker"),
            ("zones", "zone", "hosts.zone"),
            ("partitions", "parts", "topics.orders.parts"),
            ("\"ha\"", "\"minimal\"", "kafka"),
        ] {
            assert_eq!(unknown_in(&text.replacen(right, wrong, 1)), [told]);
        }
    }

    /// `OCTAD_UPDATE_SCHEMA=1` writes it anew.
    #[test]
    fn the_schema_beside_the_example_stacks_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/stacks/stack.schema.json");
        let made = format!("{:#}\n", Programs::standard().schema());
        if std::env::var_os("OCTAD_UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap_or_default(),
            made,
            "`octad schema > {path}` renews it"
        );
    }
}
