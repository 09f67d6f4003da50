//! The file of a product.

use mock_dingtalk::Scenario;
use serde_json::{Value, json};

/// The JSON Schema of a product file, which needs no other document.
pub(super) fn schema() -> Value {
    let scenario = Scenario::schema();
    let mut components = scenario["components"].clone();
    components["schemas"]["Step"] = scenario["properties"]["steps"]["items"].clone();
    let texts = |about: &str| json!({ "type": "array", "items": { "type": "string" }, "description": about });
    let text = |about: &str| json!({ "type": "string", "description": about });
    let step = json!({ "$ref": "#/components/schemas/Step" });
    let patience = json!({ "$ref": "#/components/schemas/Duration" });
    let slot = object(&["slot"], json!({ "slot": text("what the values of an axis fill") }));
    let value = object(
        &["name", "title"],
        json!({
            "name": text("a part of the id of its cases: small letters, digits and hyphens"),
            "title": text("a part of the title of its cases"),
            "checks": texts("slugs of the requirements that it checks; the strictest is its level"),
            "needs": texts("what a bot has to declare for it"),
            "patience": patience,
            "model": scenario["properties"]["model"],
            "steps": {
                "type": "object",
                "description": "what it puts into slots, by their names",
                "additionalProperties": { "type": "array", "items": step },
            },
        }),
    );
    let values = json!({ "type": "array", "items": value });
    let axis = object(&["name", "values"], json!({ "name": text("its name"), "values": values }));
    let sets = json!({
        "type": "array",
        "items": { "type": "array", "items": { "type": "string" } },
        "description":
            "sets of axes, all of whose combinations occur; any two axes are together in one",
    });
    let mut schema = object(
        &["title", "patience", "axes", "cover", "steps"],
        json!({
            "$schema": { "type": "string" },
            "title": text("what its cases show, in one sentence"),
            "checks": texts("slugs that every case checks, beside those of its values"),
            "patience": patience,
            "axes": { "type": "array", "items": axis },
            "cover": sets,
            "steps": { "type": "array", "items": { "anyOf": [slot, step] } },
        }),
    );
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Scenarios that are combinations".into();
    schema["components"] = components;
    schema
}

/// An object with these members and no others.
fn object(required: &[&str], properties: Value) -> Value {
    let mut schema = json!({ "type": "object", "additionalProperties": false });
    schema["properties"] = properties;
    schema["required"] = required.into();
    schema
}
