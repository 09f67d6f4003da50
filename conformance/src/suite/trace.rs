//! From requirements to cases, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Case, Level, Requirement};

/// What is traced, and what is not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// How many requirements there are of each level.
    pub requirements: BTreeMap<Level, usize>,
    /// How many of them have a reason instead of a case.
    pub untested: usize,
    /// How many cases there are in each area.
    pub cases: BTreeMap<String, usize>,
    /// What has to be mended.
    pub untraced: Vec<Untraced>,
}

/// A loose end of the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untraced {
    /// A requirement has neither a case nor a reason.
    NoCase(String),
    /// A requirement has a case, and a reason why it has none.
    NeedlessReason(String),
    /// A case checks nothing.
    ChecksNothing(String),
    /// A case names a requirement that is not there.
    Unknown {
        /// The case.
        case: String,
        /// The slug.
        slug: String,
    },
}

impl fmt::Display for Untraced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCase(slug) => {
                write!(f, "requirement `{slug}` has no case; add one, or say why in `untested`")
            }
            Self::NeedlessReason(slug) => {
                write!(f, "requirement `{slug}` has a case; take its `untested` out")
            }
            Self::ChecksNothing(case) => {
                write!(f, "case `{case}` names no requirement in `checks`")
            }
            Self::Unknown { case, slug } => {
                write!(f, "case `{case}` checks `{slug}`, which no file of requirements has")
            }
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = self.requirements.iter();
        let levels: Vec<_> =
            levels.map(|(level, count)| format!("{count} {}", level.as_str())).collect();
        let areas: Vec<_> =
            self.cases.iter().map(|(area, count)| format!("{count} {area}")).collect();
        write!(
            f,
            "{} requirements ({}), {} of them without a case for a reason; {} cases ({})",
            self.requirements.values().sum::<usize>(),
            levels.join(", "),
            self.untested,
            self.cases.values().sum::<usize>(),
            areas.join(", ")
        )
    }
}

pub(super) fn trace(requirements: &BTreeMap<String, Requirement>, cases: &[Case]) -> Trace {
    let mut untraced = Vec::new();
    let mut checked = BTreeSet::new();
    let mut areas = BTreeMap::new();
    for case in cases {
        *areas.entry(case.area().to_owned()).or_default() += 1;
        let slugs = &case.scenario().checks;
        if slugs.is_empty() {
            untraced.push(Untraced::ChecksNothing(case.id().to_owned()));
        }
        for slug in slugs {
            if !requirements.contains_key(slug) {
                let (case, slug) = (case.id().to_owned(), slug.clone());
                untraced.push(Untraced::Unknown { case, slug });
            }
            checked.insert(slug.as_str());
        }
    }
    let mut levels = BTreeMap::new();
    for (slug, requirement) in requirements {
        *levels.entry(requirement.level).or_default() += 1;
        match (checked.contains(slug.as_str()), requirement.untested.is_some()) {
            (false, false) => untraced.push(Untraced::NoCase(slug.clone())),
            (true, true) => untraced.push(Untraced::NeedlessReason(slug.clone())),
            _ => {}
        }
    }
    let untested = requirements.values().filter(|known| known.untested.is_some()).count();
    Trace { requirements: levels, untested, cases: areas, untraced }
}
