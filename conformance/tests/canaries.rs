//! Bots that are broken on purpose: each is caught by exactly the cases that claim it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dingtalk_conformance::run::{Outcome, Setup, Verdict};
use dingtalk_conformance::suite::{Suite, matches_glob};

/// Plays the whole suite against the raw bot, and gives the cases that it does not pass.
async fn caught(suite: &Suite, broken: Option<&str>) -> BTreeSet<String> {
    let broken = broken.map(|way| format!(" --broken {way}")).unwrap_or_default();
    let setup = Setup {
        subject: format!("'{}'{broken}", env!("CARGO_BIN_EXE_dingtalk-raw-bot")),
        capabilities: ["events", "groups"].map(str::to_owned).into(),
        seed: 1,
    };
    let outcomes = setup.run_all(suite, suite.cases().cloned().collect(), 64, |_| {}).await;
    let bad =
        |outcome: &&Outcome| !matches!(outcome.verdict, Verdict::Pass | Verdict::NotApplicable);
    let bad: Vec<_> = outcomes.iter().filter(bad).collect();
    for outcome in &bad {
        println!("{}", outcome.explain());
    }
    bad.into_iter().map(|outcome| outcome.case.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_canary_is_caught_by_exactly_the_cases_that_claim_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let suite = Suite::open(folder).unwrap();
    let claims = std::fs::read_to_string(folder.join("subjects/raw/canaries.toml")).unwrap();
    let claims: BTreeMap<String, Vec<String>> = toml::from_str(&claims).unwrap();
    assert!(claims.len() >= 2);
    assert_eq!(caught(&suite, None).await, BTreeSet::new(), "the sound bot");
    for (way, globs) in claims {
        let claimed: BTreeSet<String> = suite
            .cases()
            .map(|case| case.id().to_owned())
            .filter(|id| globs.iter().any(|glob| matches_glob(glob, id)))
            .collect();
        assert!(!claimed.is_empty(), "{way}");
        assert_eq!(caught(&suite, Some(&way)).await, claimed, "{way}");
        println!("{way}: {} cases", claimed.len());
    }
}
