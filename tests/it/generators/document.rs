//! The form of the document that generators need, in each of the forms that the gateway serves and prints.

use anyhow::{Context as _, Result};
use passerelle_tests::process::{command, sandbox_binary};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

use super::{run, start};

/// Where the gateway serves a form, and the flag that prints it.
const FORMS: [(&str, &[&str]); 3] = [
    ("/openapi.json", &[]),
    ("/openapi.json?webhooks=false", &["--no-webhooks"]),
    ("/openapi-3.0.json", &["--three-zero"]),
];

/// Returns the operations of a document.
pub(super) fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(_, item)| item.as_object().into_iter().flat_map(Map::values))
}

/// Calls `visit` with every object of the document.
fn each_object<'a>(part: &'a Value, visit: &mut impl FnMut(&'a Map<String, Value>)) {
    match part {
        Value::Array(items) => items.iter().for_each(|item| each_object(item, visit)),
        Value::Object(fields) => {
            visit(fields);
            fields.values().for_each(|field| each_object(field, visit));
        }
        _ => {}
    }
}

/// Returns the references in a part of the document.
fn links(part: &Value) -> BTreeSet<&str> {
    let mut links = BTreeSet::new();
    each_object(part, &mut |fields| {
        links.extend(fields.get("$ref").and_then(Value::as_str));
    });
    links
}

/// Returns the schemas that can be reached from these parts.
fn reached<'a>(document: &'a Value, parts: &[&'a Value]) -> Result<BTreeSet<&'a str>> {
    let mut wanted: Vec<_> = parts.iter().flat_map(|part| links(part)).collect();
    let mut reached = BTreeSet::new();
    while let Some(link) = wanted.pop() {
        if reached.insert(link) {
            let place = link.strip_prefix('#').context("inside the document")?;
            let target = document.pointer(place);
            wanted.extend(links(
                target.with_context(|| format!("{link} leads nowhere"))?,
            ));
        }
    }
    Ok(reached)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_the_document_is_one_that_generators_read() -> Result<()> {
    let world = start().await?;
    for (path, flags) in FORMS {
        let served: Value = world.api.get(path).await?.into(200)?;
        let mut print = command(&sandbox_binary()?);
        print.arg("openapi").args(flags);
        let printed: Value = serde_json::from_str(&run(print).await?)?;
        assert!(served == printed, "{path} and {flags:?} differ");
        references_are_plain(&served);
        every_operation_has_one_type_of_answer(&served);
        every_schema_is_used(&served)?;
        enumerations_of_answers_are_open(&served)?;
        assert_eq!(served.get("webhooks").is_some(), flags.is_empty(), "{path}");
    }
    let refused = world.api.get("/openapi.json?webhooks=maybe").await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (400, "validation_failed")
    );
    assert_eq!(refused.body["errors"][0]["parameter"], "webhooks");
    world.finish().await?;
    Ok(())
}

/// poem-openapi comments a reference by `allOf: [reference, {description}]`, which a generator drops.
fn references_are_plain(document: &Value) {
    let three_zero = document["openapi"] == "3.0.3";
    each_object(document, &mut |fields| {
        if let Some(all) = fields.get("allOf").and_then(Value::as_array) {
            let commented = all.iter().any(|one| {
                one.as_object()
                    .is_some_and(|one| one.keys().all(|key| key == "description"))
            });
            // 3.0 ignores what is beside a reference, so there a single reference is in `allOf`.
            assert!(!commented && (three_zero || all.len() > 1), "{fields:?}");
        }
        let alone = fields.len() == 1 || !three_zero;
        assert!(!fields.contains_key("$ref") || alone, "{fields:?}");
    });
}

fn every_operation_has_one_type_of_answer(document: &Value) {
    let mut ids = BTreeSet::new();
    for operation in operations(document) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(!id.is_empty() && ids.insert(id), "{operation}");
        let mut successes = BTreeSet::new();
        for (status, response) in operation["responses"].as_object().into_iter().flatten() {
            for kind in response["content"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(kind, _)| kind)
            {
                if status.starts_with('2') {
                    successes.insert(kind);
                } else {
                    assert!(
                        kind == "application/problem+json" || id == "readiness",
                        "{id} {status} {kind}"
                    );
                }
            }
        }
        assert!(successes.len() <= 1, "{id} answers with {successes:?}");
    }
    assert!(ids.len() > 50, "{ids:?}");
}

fn every_schema_is_used(document: &Value) -> Result<()> {
    let used = reached(document, &[&document["paths"], &document["webhooks"]])?;
    let used = |name: &str| used.contains(format!("#/components/schemas/{name}").as_str());
    let schemas = document["components"]["schemas"].as_object();
    for name in schemas.context("there are schemas")?.keys() {
        // In 3.0 a closed enumeration only names the values of the open one.
        let named = document["openapi"] == "3.0.3" && used(&format!("Any{name}"));
        assert!(used(name) || named, "{name} is not used");
    }
    Ok(())
}

/// A client must parse a value that a later version adds.
fn enumerations_of_answers_are_open(document: &Value) -> Result<()> {
    let of = |field: &str| -> Vec<&Value> {
        operations(document)
            .map(|operation| &operation[field])
            .collect()
    };
    let asked = reached(document, &[of("requestBody"), of("parameters")].concat())?;
    let answered = reached(document, &of("responses"))?;
    let text = json!({ "type": "string" });
    let mut open = 0;
    for link in answered.iter().filter(|link| link.contains("/schemas/")) {
        let schema = |link: &str| document.pointer(link.trim_start_matches('#'));
        let is_closed = |link: &str| schema(link).is_some_and(|one| one.get("enum").is_some());
        let part = schema(link).context("it was reached")?;
        if is_closed(link) {
            continue;
        }
        let any = part["anyOf"]
            .as_array()
            .is_some_and(|any| any.contains(&text));
        if any || part.get("x-extensible-enum").is_some() {
            open += 1;
            continue;
        }
        each_object(part, &mut |fields| {
            let named = fields.get("$ref").and_then(Value::as_str);
            let closed = fields.contains_key("enum") || named.is_some_and(is_closed);
            assert!(!closed, "{link} has a closed enumeration: {fields:?}");
        });
    }
    assert!(open >= 14, "only {open} open enumerations");
    for link in asked {
        let name = link.rsplit('/').next().unwrap_or_default();
        assert!(
            !name.starts_with("Any"),
            "a request has an open enumeration: {name}"
        );
    }
    Ok(())
}
