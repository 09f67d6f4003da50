//! Bots that are broken on purpose: each is caught by exactly the cases that claim it.
//!
//! `docs/canaries.md` is made of the same claims; `UPDATE_DOCS=1` writes it anew.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dingtalk_conformance::run::{Outcome, Setup, Verdict};
use dingtalk_conformance::suite::{Case, Suite, matches_glob};
use serde::Deserialize;
use serde_json::Value;

const BOT: &str = env!("CARGO_BIN_EXE_dingtalk-raw-bot");
const CAPABILITIES: [&str; 5] = ["events", "events-later", "fallback", "groups", "retry"];
/// The part of its patience that a case has which a bot cannot but fail, since it does nothing more.
const HURRY: f64 = 0.2;
/// Cases of one canary that are played at the same time.
const JOBS: usize = 16;

/// One table of `canaries.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Canary {
    does: String,
    caught_by: Vec<String>,
    #[serde(default)]
    hurry: bool,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn canaries() -> BTreeMap<String, Canary> {
    let text = std::fs::read_to_string(folder().join("subjects/raw/canaries.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

/// The cases that the bot declares enough for.
fn applicable(suite: &Suite) -> Vec<Case> {
    let applies = |case: &&Case| {
        case.scenario().needs.iter().all(|need| CAPABILITIES.contains(&need.as_str()))
    };
    suite.cases().filter(applies).cloned().collect()
}

/// The ids that claims name.
fn claimed(canary: &Canary, cases: &[Case]) -> BTreeSet<String> {
    let mut claimed = BTreeSet::new();
    for claim in &canary.caught_by {
        let (out, claim) = match claim.strip_prefix('!') {
            Some(claim) => (true, claim),
            None => (false, claim.as_str()),
        };
        let named: BTreeSet<String> = cases
            .iter()
            .filter(|case| fits(claim, case))
            .map(|case| case.id().to_owned())
            .collect();
        assert!(!named.is_empty(), "the claim {claim} names no case");
        claimed = if out { &claimed - &named } else { &claimed | &named };
    }
    claimed
}

fn fits(claim: &str, case: &Case) -> bool {
    let file: Value = serde_json::from_str(case.text()).unwrap();
    let steps = file["steps"].as_array().unwrap();
    match claim {
        "@acks-a-message" => {
            let said: Vec<&Value> = steps
                .iter()
                .filter(|step| step["message"].is_object())
                .map(|step| &step["as"])
                .collect();
            steps
                .iter()
                .any(|step| step["acked"].is_object() && said.contains(&&step["acked"]["of"]))
        }
        "@nothing-else-said" => {
            steps.iter().any(|step| step["sent"]["only"] == true || step["sent"]["once"] == true)
        }
        "@comes-back" => steps.iter().any(|step| {
            let connections = &step["connections"];
            connections["made"].as_u64() > Some(1) || connections["fresh"].as_u64() > Some(0)
        }),
        glob => matches_glob(glob, case.id()),
    }
}

/// Plays the whole suite against the raw bot, and gives the cases that it does not pass.
async fn caught(suite: Arc<Suite>, broken: Option<String>, cases: Vec<Case>) -> Vec<Outcome> {
    let broken = broken.map(|way| format!(" --broken {way}")).unwrap_or_default();
    let setup = Setup {
        subject: format!("exec '{BOT}'{broken}"),
        capabilities: CAPABILITIES.map(str::to_owned).into(),
        seed: 1,
        ..Setup::default()
    };
    let outcomes = setup.run_all(&suite, cases, JOBS, |_| {}).await;
    let passes =
        |outcome: &Outcome| matches!(outcome.verdict, Verdict::Pass | Verdict::NotApplicable);
    outcomes.into_iter().filter(|outcome| !passes(outcome)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_canary_is_caught_by_exactly_the_cases_that_claim_it() {
    let suite = Arc::new(Suite::open(folder()).unwrap());
    let cases = applicable(&suite);
    let mut played = vec![("none".to_owned(), BTreeSet::new(), None, false)];
    for (way, canary) in canaries() {
        played.push((way.clone(), claimed(&canary, &cases), Some(way), canary.hurry));
    }
    // They mostly wait, so they can be played beside each other.
    let played: Vec<_> = played
        .into_iter()
        .map(|(name, claimed, way, hurry)| {
            let cases = cases.iter().cloned().map(|case| {
                if hurry && claimed.contains(case.id()) { case.hurried(HURRY) } else { case }
            });
            let caught = caught(Arc::clone(&suite), way, cases.collect());
            (name, claimed, tokio::spawn(caught))
        })
        .collect();
    let mut wrong = String::new();
    for (name, claimed, caught) in played {
        let caught = caught.await.unwrap();
        let cases: BTreeSet<String> = caught.iter().map(|outcome| outcome.case.clone()).collect();
        for outcome in caught.iter().filter(|outcome| !claimed.contains(&outcome.case)) {
            println!("{name}: {}", outcome.explain());
        }
        println!("{name}: {} of {} claimed cases", cases.len(), claimed.len());
        if cases != claimed {
            let (more, fewer) = (&cases - &claimed, &claimed - &cases);
            writeln!(wrong, "{name}: caught by {more:?} too, and not by {fewer:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_way_to_be_wrong_is_a_canary() {
    let told = Command::new(BOT).args(["--broken", "?"]).output().unwrap();
    let told = String::from_utf8(told.stderr).unwrap();
    let (_, ways) = told.split_once("[possible values: ").unwrap();
    let (ways, _) = ways.split_once(']').unwrap();
    let ways: BTreeSet<&str> = ways.split(", ").collect();
    let canaries = canaries();
    assert_eq!(canaries.keys().map(String::as_str).collect::<BTreeSet<_>>(), ways);
}

const HEAD: &str = "\
# Canaries

A suite is worth its verdicts only if it fails bots that are wrong. `dingtalk-raw-bot --broken WAY`
is sound but for one thing, and is caught by exactly the cases that claim it: a test plays the
whole suite against each. The sound one passes all of it. What the mock itself gets wrong on
purpose is in [mutations.md](../../mock-dingtalk/docs/mutations.md).

```sh
cargo test -p dingtalk-conformance --test canaries -- --nocapture
```

A claim is a pattern of ids, or one of these; `!` takes out what it names.

| claim | every case that expects |
| --- | --- |
| `@acks-a-message` | a message of a person to be acked |
| `@nothing-else-said` | nothing but, or nothing twice of, what it lists |
| `@comes-back` | a second connection |

This page is made of `subjects/raw/canaries.toml` by that test (`UPDATE_DOCS=1` writes it anew).

| canary | the bot | caught by |
| --- | --- | --- |
";

#[test]
fn the_page_says_the_same() {
    let mut page = HEAD.to_owned();
    for (way, canary) in canaries() {
        let by: Vec<_> = canary.caught_by.iter().map(|claim| format!("`{claim}`")).collect();
        writeln!(page, "| `{way}` | {} | {} |", canary.does, by.join(", ")).unwrap();
    }
    let path = Path::new(&folder()).join("docs/canaries.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == page,
        "write it anew: UPDATE_DOCS=1 cargo test -p dingtalk-conformance --test canaries"
    );
}
