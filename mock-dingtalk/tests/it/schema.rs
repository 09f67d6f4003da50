//! Just enough of JSON Schema to hold the control API against its own description.

use serde_json::Value;

/// Whether a value fits a schema of `document`. Null members count as not given.
pub(crate) fn fits(document: &Value, schema: &Value, value: &Value) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        let found = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return fits(document, found, value);
    }
    if let Some(choices) = schema["anyOf"].as_array()
        && !choices.iter().any(|choice| fits(document, choice, value))
    {
        return false;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return false;
    }
    if let Some(kind) = schema["type"].as_str()
        && !is(kind, value)
    {
        return false;
    }
    let below = |name: &str| schema[name].as_f64().zip(value.as_f64());
    if below("minimum").is_some_and(|(least, number)| number < least)
        || below("maximum").is_some_and(|(most, number)| number > most)
    {
        return false;
    }
    match value {
        Value::Object(members) => {
            let given = || members.iter().filter(|(_, value)| !value.is_null());
            let required = schema["required"].as_array().into_iter().flatten();
            required.into_iter().all(|name| given().any(|(known, _)| known == name))
                && given().all(|(name, value)| match schema["properties"].get(name) {
                    Some(schema) => fits(document, schema, value),
                    None => schema["additionalProperties"] != false,
                })
        }
        Value::Array(items) => {
            let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
            items.len() as u64 <= most
                && schema
                    .get("items")
                    .is_none_or(|schema| items.iter().all(|item| fits(document, schema, item)))
        }
        _ => true,
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("the schemas use another type: {other}"),
    }
}
