//! Reading a scenario file. Every complaint names the field, its value and what is allowed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value};

use super::{
    Deed, Scenario, Step,
    act::{ACTS, Act},
    expectation::EXPECTATIONS,
    files::FileWanted,
    model::Script,
};
use crate::{
    control::{self, Fields},
    core::{AppOptions, VerbError, quoted},
};

/// Longer than any expectation needs; a hung run ends.
const MAX_PATIENCE: Duration = Duration::from_secs(600);

impl Scenario {
    /// Reads the text of a scenario file.
    pub fn read(text: &str) -> Result<Self, VerbError> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            VerbError::invalid("the file", quoted(text), format!("JSON ({error})"))
        })?;
        let Value::Object(members) = value else {
            return Err(VerbError::invalid("the file", quoted(text), "a JSON object"));
        };
        let app_body = members.get("app").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut fields = Fields::within("", members);
        // For editors.
        fields.string("$schema")?;
        let title = fields.required_string("title")?;
        let checks = fields.strings("checks")?.unwrap_or_default();
        let needs = fields.strings("needs")?.unwrap_or_default();
        let patience = read_patience(&mut fields, "patience")?
            .ok_or_else(|| fields.missing("patience", "a duration such as \"10s\""))?;
        let app = match fields.object("app")? {
            Some(mut app) => {
                let options = AppOptions {
                    lenient: app.bool("lenient")?,
                    delivery: control::read_rules(&mut app)?,
                    ..AppOptions::default()
                };
                app.finish()?;
                options
            }
            None => AppOptions::default(),
        };
        let model = fields.object("model")?.map(Script::read).transpose()?;
        let steps = match fields.take("steps") {
            Some(Value::Array(steps)) if !steps.is_empty() => read_steps(steps)?,
            Some(other) => return Err(fields.wrong("steps", &other, "a list of steps, not empty")),
            None => return Err(fields.missing("steps", "a list of steps")),
        };
        fields.finish()?;
        check_model(model.as_ref(), &steps)?;
        Ok(Self { title, checks, needs, patience, app, app_body, model, steps })
    }
}

/// What is held back is released by a step or not at all; what is released is held back.
fn check_model(model: Option<&Script>, steps: &[Step]) -> Result<(), VerbError> {
    for (index, step) in steps.iter().enumerate() {
        let Deed::Act(Act::Release(name)) = &step.deed else { continue };
        let held = model.is_some_and(|model| model.holds().any(|hold| hold == name));
        if !held {
            let allowed = "what a line of `model` has in `hold`";
            return Err(VerbError::invalid(format!("steps[{index}]"), quoted(name), allowed));
        }
    }
    Ok(())
}

/// What the names of earlier steps stand for.
#[derive(Debug, Default)]
struct Names {
    /// All of them.
    taken: BTreeSet<String>,
    /// Pushes, and whether they are in a chat.
    pushes: BTreeMap<String, bool>,
    /// How many files a step brings.
    files: BTreeMap<String, usize>,
    faults: BTreeSet<String>,
}

impl Names {
    /// Keeps the name of a step.
    fn keep(&mut self, path: &str, name: &str, deed: &Deed) -> Result<(), VerbError> {
        let complaint =
            |allowed: &str| Err(VerbError::invalid(format!("{path}.as"), quoted(name), allowed));
        if !self.taken.insert(name.to_owned()) {
            return complaint("a new name");
        }
        let Deed::Act(act) = deed else { return complaint(NAMEABLE) };
        let files = act.files().len();
        if matches!(act, Act::Fault(_)) {
            self.faults.insert(name.to_owned());
        } else if act.pushes() {
            self.pushes.insert(name.to_owned(), act.is_in_a_chat());
        } else if files == 0 {
            return complaint(NAMEABLE);
        }
        self.files.insert(name.to_owned(), files);
        Ok(())
    }

    /// Whether what a step refers to is there.
    fn check(&self, path: &str, deed: &Deed) -> Result<(), VerbError> {
        let (fault, push, chat, files): (_, _, _, &[FileWanted]) = match deed {
            Deed::Expect { what, .. } => {
                (what.fault(), what.push(), what.is_about_a_chat(), what.files())
            }
            Deed::Act(act) => (None, act.push(), true, &[]),
        };
        let complaint =
            |name: &str, allowed: &str| Err(VerbError::invalid(path, quoted(name), allowed));
        if let Some(name) = fault.filter(|name| !self.faults.contains(*name)) {
            return complaint(name, "what an earlier fault has in `as`");
        }
        if let Some(name) = push {
            match self.pushes.get(name) {
                None => return complaint(name, "what an earlier push has in `as`"),
                Some(false) if chat => {
                    return complaint(name, "what an earlier message has in `as`");
                }
                Some(_) => {}
            }
        }
        let missing =
            |wanted: &&FileWanted| self.files.get(&wanted.of).unwrap_or(&0) <= &wanted.index;
        if let Some(wanted) = files.iter().find(missing) {
            let value = format!("file {} of {:?}", wanted.index, wanted.of);
            let allowed = "a file in `media` of an earlier step";
            return Err(VerbError::invalid(format!("{path}.sent.files"), value, allowed));
        }
        Ok(())
    }
}

/// What later steps can refer to.
const NAMEABLE: &str = "beside what is pushed, a fault that is no preset, or a push with media";

fn read_steps(steps: Vec<Value>) -> Result<Vec<Step>, VerbError> {
    let mut names = Names::default();
    let mut read = Vec::with_capacity(steps.len());
    for (index, step) in steps.into_iter().enumerate() {
        let path = format!("steps[{index}]");
        let Value::Object(members) = step else {
            return Err(VerbError::invalid(path, "no object", "an object with one act"));
        };
        let step = read_step(&path, members)?;
        names.check(&path, &step.deed)?;
        if let Some(name) = &step.name {
            names.keep(&path, name, &step.deed)?;
        }
        read.push(step);
    }
    Ok(read)
}

/// One act or one expectation; `as` may stand beside an act, `within` beside an expectation.
fn read_step(path: &str, members: Map<String, Value>) -> Result<Step, VerbError> {
    let given: Vec<String> = members.keys().cloned().collect();
    let whole = members.clone();
    let body = |name: &str| whole.get(name).cloned().unwrap_or_default();
    let mut fields = Fields::within(path, members);
    let mut deeds = Vec::new();
    for (name, read) in ACTS {
        if let Some(inner) = fields.object(name)? {
            deeds.push((Deed::Act(read(inner)?), body(name)));
        }
    }
    for (name, read) in EXPECTATIONS {
        if let Some(mut inner) = fields.object(name)? {
            let within = read_patience(&mut inner, "within")?;
            deeds.push((Deed::Expect { within, what: read(inner)? }, body(name)));
        }
    }
    let name = fields.string("as")?;
    fields.finish()?;
    if let (Some((deed, body)), true) = (deeds.pop(), deeds.is_empty()) {
        return Ok(Step { name, deed, body });
    }
    let known = ACTS.map(|(name, _)| name).into_iter();
    let known: Vec<_> = known.chain(EXPECTATIONS.map(|(name, _)| name)).collect();
    let allowed = format!("exactly one of {}", known.join(", "));
    Err(VerbError::invalid(path, format!("{given:?}"), allowed))
}

fn read_patience(fields: &mut Fields, name: &'static str) -> Result<Option<Duration>, VerbError> {
    match fields.duration(name)? {
        Some(patience) if patience > MAX_PATIENCE || patience.is_zero() => {
            Err(VerbError::invalid(name, format!("{patience:?}"), "above zero, at most 10m"))
        }
        patience => Ok(patience),
    }
}

#[cfg(test)]
mod tests {
    use super::Scenario;

    fn complaint(steps: &str) -> String {
        let text = format!(r#"{{"title":"t","patience":"1s","steps":{steps}}}"#);
        Scenario::read(&text).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_step_is_named_with_its_number() {
        let cases = [
            ("[]", "`steps`"),
            (r#"[{"as":"x"}]"#, "`steps[0]`"),
            (r#"[{"connections":{"open":1},"cut":{"type":"rst"}}]"#, "`steps[0]`"),
            (r#"[{"connections":{"opne":1}}]"#, "`steps[0].connections.opne`"),
            (r#"[{"clearFaults":{}},{"acked":{"of":"hi"}}]"#, "`steps[1]` is \"hi\""),
            (r#"[{"message":{"fixture":"stream/nothing"}}]"#, "`fixture`"),
            (r#"[{"noFindings":{"rules":["nothing"]}}]"#, "\"nothing\""),
            (r#"[{"connections":{"open":1,"within":"0s"}}]"#, "`within`"),
            (r#"[{"restart":{},"as":"x"},{"hit":{"of":"x"}}]"#, "`steps[0].as` is \"x\""),
            (r#"[{"connections":{"open":1},"as":"x"}]"#, "`steps[0].as` is \"x\""),
            (r#"[{"fault":{"preset":"zombie"},"as":"x"}]"#, "`steps[0].as` is \"x\""),
            (r#"[{"push":{"to":"user:a","text":"b"},"as":"x"}]"#, "`steps[0].as` is \"x\""),
            (r#"[{"burst":{"from":"user0001","text":"b","count":0}}]"#, "`steps[0].burst.count`"),
            (r#"[{"release":{"hold":"rest"}}]"#, "`steps[0]` is \"rest\""),
            (r#"[{"push":{"text":"hi"}}]"#, "`steps[0].push.to`"),
            (r#"[{"push":{"chatOf":"hi"}}]"#, "`steps[0]` is \"hi\""),
            (r#"[{"sent":{"only":true}}]"#, "`steps[0].sent.texts`"),
            (r#"[{"sent":{"files":[{"of":"hi"}]}}]"#, "`steps[0].sent.files` is file 0 of"),
            (r#"[{"restart":{}},{"sleep":{"for":"1s"}}]"#, "`steps[1].sleep`"),
        ];
        for (steps, part) in cases {
            let complaint = complaint(steps);
            assert!(complaint.contains(part), "{steps}: {complaint}");
        }
    }

    #[test]
    fn a_name_stands_for_what_can_be_meant_by_it() {
        let fault = r#"{"fault":{"when":"open","action":{"type":"hang"}},"as":"x"}"#;
        let event = r#"{"event":{"eventType":"a"},"as":"x"}"#;
        let files = r#"{"push":{"to":"user:a","media":{"sample":"png"}},"as":"x"}"#;
        let message = r#"{"message":{"from":"user0001","text":"hi"},"as":"x"}"#;
        for (named, later, good) in [
            (fault, r#"{"hit":{"of":"x"}}"#, true),
            (fault, r#"{"acked":{"of":"x"}}"#, false),
            (fault, r#"{"sent":{"texts":["a"],"to":"x"}}"#, false),
            (event, r#"{"acked":{"of":"x"}}"#, true),
            (event, r#"{"hit":{"of":"x"}}"#, false),
            (event, r#"{"cards":{"made":1,"to":"x"}}"#, false),
            (event, r#"{"push":{"chatOf":"x","text":"a"}}"#, false),
            (files, r#"{"sent":{"files":[{"of":"x"}]}}"#, true),
            (files, r#"{"sent":{"texts":["a"],"to":"x"}}"#, false),
            (message, r#"{"sent":{"texts":["a"],"to":"x"}}"#, true),
            (message, r#"{"push":{"chatOf":"x","text":"a"}}"#, true),
        ] {
            let text = format!(r#"{{"title":"t","patience":"1s","steps":[{named},{later}]}}"#);
            let read = Scenario::read(&text);
            assert_eq!(read.is_ok(), good, "{named} {later}: {read:?}");
        }
    }

    #[test]
    fn two_pushes_cannot_have_one_name() {
        let message = r#"{"message":{"from":"user0001","text":"hi"},"as":"a"}"#;
        assert!(complaint(&format!("[{message},{message}]")).contains("`steps[1].as`"));
    }
}
