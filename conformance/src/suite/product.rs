//! Cases that are combinations: of each axis one value, whose steps fill the slots of one template.

mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::combine::combinations;

/// A product as its file tells it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// For editors.
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    /// What its cases show, in one sentence.
    pub title: String,
    /// Slugs of requirements that every case checks, beside those of its values.
    #[serde(default)]
    pub checks: Vec<String>,
    /// How long an expectation may take, unless a value of the case says more.
    patience: String,
    /// What is combined.
    pub axes: Vec<Axis>,
    /// Sets of axes: all combinations of their values occur. Any two axes are in one of them.
    cover: Vec<Vec<String>>,
    /// The template: steps of a scenario, and slots.
    steps: Vec<Value>,
}

/// One of the things that are combined.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// What it may be.
    pub values: Vec<AxisValue>,
}

/// What an axis may be.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxisValue {
    /// A part of the id of its cases: small letters, digits and hyphens.
    pub name: String,
    /// A part of the title of its cases.
    pub title: String,
    /// Slugs of the requirements that it checks. The strictest of them is its level.
    #[serde(default)]
    pub checks: Vec<String>,
    /// What a bot has to declare for it.
    #[serde(default)]
    pub needs: Vec<String>,
    /// How long an expectation may take in its cases.
    patience: Option<String>,
    /// What the model behind the bot says in its cases.
    model: Option<Value>,
    /// What it puts into slots.
    #[serde(default)]
    pub steps: BTreeMap<String, Vec<Value>>,
}

/// A case that a product makes.
#[derive(Debug, Clone)]
pub struct Combination {
    /// The names of its values, joined by `+`.
    pub name: String,
    /// The slugs of each of its values.
    pub(super) bound: Vec<Vec<String>>,
    /// The whole scenario, as its file would be.
    pub scenario: Value,
}

impl Product {
    /// Reads the text of a product file. The error says what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let product: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        product.check()?;
        Ok(product)
    }

    /// The JSON Schema (2020-12) of a product file.
    pub fn schema() -> Value {
        schema::schema()
    }

    /// Its cases: as few as cover what it says.
    pub fn expand(&self) -> Vec<Combination> {
        let sizes: Vec<usize> = self.axes.iter().map(|axis| axis.values.len()).collect();
        let cover: Vec<Vec<usize>> = self
            .cover
            .iter()
            .map(|set| set.iter().filter_map(|name| self.axis(name)).collect())
            .collect();
        let rows = combinations(&sizes, &cover);
        rows.into_iter()
            .map(|row| {
                let values = self.axes.iter().zip(row).map(|(axis, value)| &axis.values[value]);
                self.combine(&values.collect::<Vec<_>>())
            })
            .collect()
    }

    /// One case, of these values.
    fn combine(&self, values: &[&AxisValue]) -> Combination {
        let join = |part: fn(&AxisValue) -> &str, by: &str| {
            values.iter().map(|value| part(value)).collect::<Vec<_>>().join(by)
        };
        let mut checks = Vec::new();
        let all = values.iter().flat_map(|value| &value.checks).chain(&self.checks);
        for slug in all {
            if !checks.contains(slug) {
                checks.push(slug.clone());
            }
        }
        let needs: BTreeSet<&String> = values.iter().flat_map(|value| &value.needs).collect();
        let patience = values.iter().filter_map(|value| value.patience.as_ref());
        let patience = patience.chain([&self.patience]).max_by_key(|text| duration(text));
        let mut scenario = json!({
            "title": join(|value| &value.title, ", "),
            "checks": checks,
            "needs": needs,
            "patience": patience,
            "steps": self.fill(values),
        });
        if let Some(model) = values.iter().find_map(|value| value.model.as_ref()) {
            scenario["model"] = model.clone();
        }
        Combination {
            name: join(|value| &value.name, "+"),
            bound: values.iter().map(|value| value.checks.clone()).collect(),
            scenario,
        }
    }

    /// The steps of the template, with those of the values in its slots.
    pub fn fill(&self, values: &[&AxisValue]) -> Vec<Value> {
        let steps = self.steps.iter().flat_map(|step| match slot(step) {
            None => vec![step],
            Some(slot) => values.iter().filter_map(|v| v.steps.get(slot)).flatten().collect(),
        });
        steps.cloned().collect()
    }

    fn axis(&self, name: &str) -> Option<usize> {
        self.axes.iter().position(|axis| axis.name == name)
    }

    fn check(&self) -> Result<(), String> {
        let slots: Vec<&str> = self.steps.iter().filter_map(slot).collect();
        let mut filled = BTreeSet::new();
        let mut patience = vec![&self.patience];
        for axis in &self.axes {
            let mut names = BTreeSet::new();
            for value in &axis.values {
                let name = &value.name;
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                if name.is_empty() || !name.chars().all(plain) || !names.insert(name) {
                    return Err(format!(
                        "a value of the axis `{}` is called {name:?}; allowed is a new name of \
                         small letters, digits and hyphens",
                        axis.name
                    ));
                }
                for slot in value.steps.keys() {
                    if !slots.contains(&slot.as_str()) {
                        return Err(format!("`{name}` fills {slot:?}; the slots are {slots:?}"));
                    }
                    filled.insert(slot.as_str());
                }
                patience.extend(&value.patience);
            }
            if names.is_empty() {
                return Err(format!("the axis `{}` has no values", axis.name));
            }
        }
        if let Some(slot) = slots.iter().find(|slot| !filled.contains(*slot)) {
            return Err(format!("no value fills the slot {slot:?}"));
        }
        if let Some(text) = patience.iter().find(|text| duration(text).is_none()) {
            return Err(format!("the patience {text:?} is no duration such as \"25s\""));
        }
        self.check_cover()
    }

    /// Every two axes are covered together, at least.
    fn check_cover(&self) -> Result<(), String> {
        let unknown = self.cover.iter().flatten().find(|name| self.axis(name).is_none());
        if let Some(name) = unknown {
            return Err(format!("`cover` names {name:?}, which is no axis"));
        }
        for (index, one) in self.axes.iter().enumerate() {
            for other in &self.axes[index..] {
                let together =
                    |set: &&Vec<String>| set.contains(&one.name) && set.contains(&other.name);
                if !self.cover.iter().any(|set| together(&set)) {
                    let (one, other) = (&one.name, &other.name);
                    return Err(format!("no set of `cover` has `{one}` and `{other}` together"));
                }
            }
        }
        Ok(())
    }
}

/// The slot that stands in a template instead of a step.
fn slot(step: &Value) -> Option<&str> {
    step.get("slot").and_then(Value::as_str)
}

fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Product;

    fn product() -> Value {
        let value = |name: &str, slot: &str| json!({ "name": name, "title": name, "steps": { slot: [{ "say": name }] } });
        json!({
            "title": "t",
            "checks": ["all"],
            "patience": "10s",
            "axes": [
                { "name": "one", "values": [value("a", "x"), value("b", "x")] },
                { "name": "two", "values": [value("c", "y"), value("d", "y")] },
            ],
            "cover": [["one", "two"]],
            "steps": [{ "slot": "y" }, { "then": 1 }, { "slot": "x" }],
        })
    }

    #[test]
    fn the_steps_of_the_values_fill_the_slots() {
        let mut file = product();
        file["axes"][1]["values"][1]["patience"] = "1m".into();
        file["axes"][1]["values"][1]["needs"] = json!(["cards"]);
        file["axes"][0]["values"][1]["checks"] = json!(["b-works"]);
        let cases = Product::read(&file.to_string()).unwrap().expand();
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["a+c", "a+d", "b+c", "b+d"]);
        let wanted = json!({
            "title": "b, d",
            "checks": ["b-works", "all"],
            "needs": ["cards"],
            "patience": "1m",
            "steps": [{ "say": "d" }, { "then": 1 }, { "say": "b" }],
        });
        assert_eq!(cases[3].scenario, wanted);
        assert_eq!(cases[0].scenario["patience"], "10s");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 8] = [
            (|file| file["cover"] = json!([["one"], ["two"]]), "`one` and `two` together"),
            (|file| file["cover"] = json!([["one", "three"]]), "\"three\", which is no axis"),
            (|file| file["steps"] = json!([{ "slot": "x" }]), "`c` fills \"y\""),
            (|file| file["axes"][0]["values"][0]["name"] = "A".into(), "\"A\""),
            (|file| file["axes"][0]["values"][1]["name"] = "a".into(), "\"a\""),
            (|file| file["axes"][1]["values"] = json!([]), "no value"),
            (|file| file["patience"] = "soon".into(), "\"soon\""),
            (|file| file["axis"] = 1.into(), "unknown field `axis`"),
        ];
        for (change, part) in cases {
            let mut file = product();
            change(&mut file);
            let error = Product::read(&file.to_string()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
