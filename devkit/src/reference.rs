//! `docs/api-reference.md`, printed from the schemas of the CRDs and the list of reasons.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use whatsapp_operator::api::{Reason, crd};

use crate::generated::COMMAND;

/// The whole page.
pub(crate) fn render() -> String {
    let kinds: Vec<Kind> = crd::all().into_iter().map(|(_, crd)| Kind { crd }).collect();
    let mut page = format!("<!-- Generated from src/api by `{COMMAND}`: change it there. -->\n\n# API reference\n\n");
    page.push_str(
        "Two kinds of the API group `actiwapi.com`, version `v1alpha1`. Both are namespaced, and references never leave \
         the namespace. `kubectl get whatsapp` lists both, `kubectl explain was.spec` says the same as this page.\n\n",
    );
    for kind in &kinds {
        kind.render(&mut page);
    }
    page.push_str(
        "## Reasons\n\nThe `reason` of a condition or an Event is one of these words. They are stable: scripts and alerts \
         may compare them. The `message` beside it is for people and may change.\n\n| Reason | Meaning |\n|---|---|\n",
    );
    for reason in Reason::ALL {
        let _ = writeln!(page, "| `{reason}` | {} |", cell(reason.meaning()));
    }
    page
}

struct Kind {
    crd: Value,
}

impl Kind {
    fn at(&self, pointer: &str) -> &Value {
        self.crd.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn render(&self, page: &mut String) {
        let schema = self.at("/spec/versions/0/schema/openAPIV3Schema");
        let names = |pointer| strings(self.at(pointer)).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            page,
            "## {}\n\n{}\n\nPlural `{}`, short name {}. Columns of `kubectl get`: {}; with `-o wide` also {}.\n",
            text(self.at("/spec/names/kind")),
            text(member(schema, "description")),
            text(self.at("/spec/names/plural")),
            names("/spec/names/shortNames"),
            self.columns(false),
            self.columns(true),
        );
        for (part, has_defaults) in [("spec", true), ("status", false)] {
            let part_schema = member(member(schema, "properties"), part);
            let head = if has_defaults {
                "| Field | Type | Default | Meaning |\n|---|---|---|---|"
            } else {
                "| Field | Type | Meaning |\n|---|---|---|"
            };
            let _ = writeln!(page, "### {}: {part}\n\n{head}", text(self.at("/spec/names/kind")));
            fields(page, part, part_schema, has_defaults);
            page.push('\n');
        }
        page.push_str("### Rules across fields\n\n");
        for rule in rules(schema) {
            let _ = writeln!(page, "- {}.", sentence(rule));
        }
        page.push('\n');
    }

    fn columns(&self, wide: bool) -> String {
        let columns = self.at("/spec/versions/0/additionalPrinterColumns").as_array().map(Vec::as_slice);
        let of_this_width = columns
            .unwrap_or_default()
            .iter()
            .filter(|column| (member(column, "priority").as_i64().unwrap_or(0) > 0) == wide)
            .map(|column| format!("`{}`", text(member(column, "name")).to_uppercase()));
        of_this_width.collect::<Vec<_>>().join(" ")
    }
}

/// One row for each field below `path`, those of objects after the object's own.
fn fields(page: &mut String, path: &str, schema: &Value, has_defaults: bool) {
    for (name, field) in object(member(schema, "properties")) {
        let required = strings(member(schema, "required")).any(|required| required == name);
        let path = format!("{path}.{name}");
        let standard = name == "conditions";
        let kind = if standard { "[]Condition".to_owned() } else { type_of(field) };
        let meaning = cell(&meaning(field));
        if has_defaults {
            let nested = field.get("properties").is_some();
            let default = match field.get("default") {
                // Those of the members say the same.
                Some(_) if nested => String::new(),
                Some(Value::String(value)) if value.is_empty() => "empty".to_owned(),
                Some(Value::String(value)) => format!("`{value}`"),
                Some(value) => format!("`{value}`"),
                None if required => "required".to_owned(),
                None => String::new(),
            };
            // A reference that may be left out as a whole has its default here only.
            let default = match field.pointer("/default/name") {
                Some(name) if nested => format!("`name: {}`", text(name)),
                _ => default,
            };
            let _ = writeln!(page, "| `{path}` | {kind} | {default} | {meaning} |");
        } else {
            let _ = writeln!(page, "| `{path}` | {kind} | {meaning} |");
        }
        if !standard {
            fields(page, &path, field, has_defaults);
        }
    }
}

fn type_of(field: &Value) -> String {
    match (text(member(field, "type")), field.get("format").and_then(Value::as_str)) {
        ("array", _) => format!("[]{}", type_of(member(field, "items"))),
        ("string", Some("date-time")) => "time".to_owned(),
        (other, _) => other.to_owned(),
    }
}

/// The description, then what the schema demands.
fn meaning(field: &Value) -> String {
    let mut parts = Vec::new();
    let choices: Vec<String> = strings(member(field, "enum")).map(|value| format!("`{value}`")).collect();
    if !choices.is_empty() {
        parts.push(format!("One of {}.", choices.join(", ")));
    }
    let number = |field: &Value, key| member(field, key).as_f64();
    match (number(field, "minimum"), number(field, "maximum")) {
        (Some(min), Some(max)) => parts.push(format!("{min} to {max}.")),
        (Some(min), None) => parts.push(format!("At least {min}.")),
        (None, Some(max)) => parts.push(format!("At most {max}.")),
        (None, None) => {}
    }
    parts.extend(rules(field).map(|rule| format!("{}.", sentence(rule))));
    if let Some(max) = number(field, "maxLength") {
        parts.push(format!("At most {max} characters."));
    }
    if let Some(max) = number(field, "maxItems") {
        let items = member(field, "items");
        let each = match (number(items, "minLength"), number(items, "maxLength")) {
            (Some(min), Some(max)) => format!(" of {min} to {max} characters"),
            _ => String::new(),
        };
        parts.push(format!("At most {max} items{each}."));
    }
    let described = text(member(field, "description"));
    if parts.is_empty() { described.to_owned() } else { format!("{described}<br>{}", parts.join(" ")) }
}

fn rules(schema: &Value) -> impl Iterator<Item = &str> {
    let rules = member(schema, "x-kubernetes-validations").as_array().map(Vec::as_slice).unwrap_or_default();
    rules.iter().map(|rule| text(member(rule, "message")))
}

/// A message of a rule begins in lower case, except where it begins with a field's name.
fn sentence(message: &str) -> String {
    if message.starts_with("spec.") || message.starts_with("metadata.") {
        let (field, rest) = message.split_once(' ').unwrap_or((message, ""));
        return format!("`{field}` {rest}");
    }
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Text that fits into one cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn member<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str)
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
