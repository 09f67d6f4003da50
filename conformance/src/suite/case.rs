//! A scenario with its id.

use std::path::{Path, PathBuf};

use mock_dingtalk::Scenario;

use super::{Product, SuiteError, files, text_of};

/// One case of the suite.
#[derive(Debug, Clone)]
pub struct Case {
    id: String,
    path: PathBuf,
    text: String,
    scenario: Scenario,
    bound: Vec<Vec<String>>,
}

impl Case {
    /// Its path below `scenarios/`, without the ending; or `PRODUCT/VALUE+VALUE`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The first part of its id.
    pub fn area(&self) -> &str {
        self.id.split_once('/').map_or("", |(area, _)| area)
    }

    /// Its file, or that of its product.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of the scenario, which can be played as a file of its own.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The slugs that it checks; of a product's case, those of each value apart.
    pub(super) fn bound(&self) -> &[Vec<String>] {
        &self.bound
    }

    /// The same with a part of its patience, for bots that are known to fail it.
    #[must_use]
    pub fn hurried(mut self, part: f64) -> Self {
        self.scenario = self.scenario.hurried(part);
        self
    }

    /// What is played.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }
}

pub(super) fn load(dir: &Path) -> Result<Vec<Case>, SuiteError> {
    let mut cases = Vec::new();
    for path in files(dir, "json")? {
        let below = path.strip_prefix(dir).unwrap_or(&path).with_extension("");
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        let id = parts.join("/");
        let text = text_of(&path)?;
        match Scenario::read(&text) {
            Ok(scenario) => {
                let bound = vec![scenario.checks.clone()];
                cases.push(Case { id, path, text, scenario, bound });
            }
            Err(source) => return Err(SuiteError::Scenario { path, source }),
        }
    }
    Ok(cases)
}

/// The cases of all products of a folder.
pub(super) fn expand(dir: &Path) -> Result<Vec<Case>, SuiteError> {
    let mut cases = Vec::new();
    for path in files(dir, "json")? {
        let product = Product::read(&text_of(&path)?);
        let product = product.map_err(|why| SuiteError::Product { path: path.clone(), why })?;
        let area = path.file_stem().unwrap_or_default().to_string_lossy();
        for made in product.expand() {
            let id = format!("{area}/{}", made.name);
            let mut text = format!("{:#}", made.scenario);
            text.push('\n');
            let scenario = Scenario::read(&text).map_err(|error| SuiteError::Product {
                path: path.clone(),
                why: format!("the case `{}`: {error}", made.name),
            })?;
            cases.push(Case { id, path: path.clone(), text, scenario, bound: made.bound });
        }
    }
    Ok(cases)
}

/// Whether a name fits a pattern in which `*` stands for any run of characters.
pub fn matches_glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            let cuts = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            cuts.into_iter().any(|at| matches_glob(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::matches_glob;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, name, fits) in [
            ("ack/*", "ack/dm", true),
            ("ack/*", "back/dm", false),
            ("*dm*", "ack/dm", true),
            ("a*c/*m", "ack/dm", false),
            ("a*k/*m", "ack/dm", true),
            ("*", "", true),
            ("ack", "ack/dm", false),
            ("*é", "café", true),
        ] {
            assert_eq!(matches_glob(pattern, name), fits, "{pattern} {name}");
        }
    }
}
