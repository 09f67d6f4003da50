//! Bots that are broken on purpose: each is caught by exactly the cases that claim it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use dingtalk_conformance::run::{Outcome, Setup, Verdict};
use dingtalk_conformance::suite::{Suite, matches_glob};

/// What the raw bot can do beside echoing texts. Cases that need more are claimed by nobody.
const CAPABILITIES: [&str; 2] = ["events", "groups"];

/// Plays the whole suite against the raw bot, and gives the cases that it does not pass.
async fn caught(suite: Arc<Suite>, broken: Option<String>) -> Vec<Outcome> {
    let broken = broken.map(|way| format!(" --broken {way}")).unwrap_or_default();
    let setup = Setup {
        subject: format!("'{}'{broken}", env!("CARGO_BIN_EXE_dingtalk-raw-bot")),
        capabilities: CAPABILITIES.map(str::to_owned).into(),
        seed: 1,
        ..Setup::default()
    };
    let cases = suite.cases().cloned().collect();
    let outcomes = setup.run_all(&suite, cases, 16, |_| {}).await;
    let passes =
        |outcome: &Outcome| matches!(outcome.verdict, Verdict::Pass | Verdict::NotApplicable);
    outcomes.into_iter().filter(|outcome| !passes(outcome)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_canary_is_caught_by_exactly_the_cases_that_claim_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let suite = Arc::new(Suite::open(folder).unwrap());
    let claims = std::fs::read_to_string(folder.join("subjects/raw/canaries.toml")).unwrap();
    let claims: BTreeMap<String, Vec<String>> = toml::from_str(&claims).unwrap();
    assert!(claims.len() >= 2);
    // They mostly wait, so they can be played beside each other.
    let mut played = vec![("none".to_owned(), BTreeSet::new(), None)];
    for (way, globs) in claims {
        let claimed: BTreeSet<String> = suite
            .cases()
            .filter(|case| {
                let needs = &case.scenario().needs;
                needs.iter().all(|need| CAPABILITIES.contains(&need.as_str()))
            })
            .map(|case| case.id().to_owned())
            .filter(|id| globs.iter().any(|glob| matches_glob(glob, id)))
            .collect();
        assert!(!claimed.is_empty(), "{way}");
        played.push((way.clone(), claimed, Some(way)));
    }
    let played: Vec<_> = played
        .into_iter()
        .map(|(name, claimed, way)| (name, claimed, tokio::spawn(caught(Arc::clone(&suite), way))))
        .collect();
    for (name, claimed, caught) in played {
        let caught = caught.await.unwrap();
        let cases: BTreeSet<String> = caught.iter().map(|outcome| outcome.case.clone()).collect();
        for outcome in caught.iter().filter(|outcome| !claimed.contains(&outcome.case)) {
            println!("{}", outcome.explain());
        }
        assert_eq!(cases, claimed, "{name}");
        println!("{name}: {} cases", claimed.len());
    }
}
