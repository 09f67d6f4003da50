//! Arbitrary schedules of faults end in convergence.
//!
//! A schedule is a sequence of combinations of the product `conformance/products/reconnect.json`,
//! played one after the other against one robot: whatever has happened to its connections, at the
//! end of each it answers once, and nothing that it acked is left. The mock's clock and the session's
//! times run twenty times as fast as they do in life.
//!
//! A schedule that fails is made shorter, and printed as a scenario, which
//! `mock-dingtalk scenario run` and the suite take as a file. Its seed is kept in
//! `schedules.proptest-regressions` beside this file.

use std::sync::Arc;
use std::time::Duration;

use dingtalk_conformance::suite::{AxisValue, Product};
use dingtalk_connector::agent::Echo;
use dingtalk_connector::gateway::Gateway;
use dingtalk_connector::stream::SessionConfig;
use mock_dingtalk::{Scenario, Subject};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestCaseError, TestRunner};
use serde_json::{Value, json};

use crate::support::World;

/// How much faster than in life everything goes.
const FASTER: u32 = 20;
/// Schedules that are tried.
const CASES: u32 = 12;
/// Combinations of one schedule at most.
const LONGEST: usize = 4;

/// One value of each axis.
type Round = Vec<usize>;

fn product() -> Product {
    Product::read(include_str!("../../../conformance/products/reconnect.json")).unwrap()
}

/// The values of each axis that any bot can be tried with.
fn choices(product: &Product) -> Vec<Vec<&AxisValue>> {
    let open_to_all = |value: &&AxisValue| value.needs.is_empty();
    product.axes.iter().map(|axis| axis.values.iter().filter(open_to_all).collect()).collect()
}

/// The scenario of a schedule.
fn scenario(product: &Product, schedule: &[Round]) -> Value {
    let choices = choices(product);
    let mut steps = vec![json!({ "clock": { "scale": FASTER } })];
    for (number, round) in schedule.iter().enumerate() {
        let values: Vec<&AxisValue> =
            choices.iter().zip(round).map(|(values, index)| values[*index]).collect();
        for mut step in product.fill(&values) {
            tell_apart(&mut step, number + 1);
            steps.push(step);
        }
    }
    json!({
        "title": "a schedule of faults ends in convergence",
        "checks": product.checks,
        "patience": "15s",
        "steps": steps,
    })
}

/// Puts the number of the round before texts and names, which have to differ from round to round.
fn tell_apart(step: &mut Value, round: usize) {
    match step {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("text" | "as" | "of" | "texts", value) => number(value, round),
                    // What is waited for in life is twenty times as long.
                    ("within", _) => {}
                    (_, value) => tell_apart(value, round),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| tell_apart(item, round)),
        _ => {}
    }
}

fn number(value: &mut Value, round: usize) {
    match value {
        Value::String(text) => *text = format!("{round}: {text}"),
        Value::Array(items) => items.iter_mut().for_each(|item| number(item, round)),
        _ => {}
    }
}

/// No schedule restarts the robot.
struct Lasting;

impl Subject for Lasting {
    async fn restart(&mut self) -> Result<(), String> {
        Err("the robot is a part of the test".to_owned())
    }
}

/// The times of life, shortened.
fn session() -> SessionConfig {
    let mut config = SessionConfig::default();
    for time in [
        &mut config.ping_interval,
        &mut config.suspect_after,
        &mut config.stable_after,
        &mut config.backoff_base,
        &mut config.backoff_cap,
        &mut config.refused_pause,
        &mut config.open_window,
        &mut config.disconnect_grace,
        &mut config.finish_grace,
        &mut config.close_grace,
    ] {
        *time /= FASTER;
    }
    config
}

async fn play(text: &str) -> Result<(), String> {
    let scenario = Scenario::read(text).map_err(|error| error.to_string())?;
    let world = World::with(scenario.app_options()).await;
    let mut config = world.gateway_config(Arc::new(Echo));
    config.session = session();
    config.handshake_timeout = Duration::from_secs(1);
    config.openapi.timeout = Duration::from_secs(1);
    let gateway = Gateway::start(config, world.store()).await.map_err(|e| e.to_string())?;
    let played = scenario.play(&world.app, &mut Lasting).await;
    gateway.abort();
    played.map_err(|failure| failure.to_string())
}

#[test]
fn arbitrary_schedules_of_faults_end_in_convergence() {
    let product = product();
    let sizes: Vec<usize> = choices(&product).iter().map(Vec::len).collect();
    assert!(sizes.iter().product::<usize>() >= 100, "{sizes:?}");
    let round = sizes.iter().map(|size| 0..*size).collect::<Vec<_>>();
    let schedule = prop::collection::vec(round, 1..=LONGEST);
    let config = ProptestConfig {
        cases: CASES,
        max_shrink_iters: 40,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource(
            "proptest-regressions",
        ))),
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let played = TestRunner::new(config).run(&schedule, |schedule| {
        let text = format!("{:#}", scenario(&product, &schedule));
        runtime.block_on(play(&text)).map_err(|why| {
            let how = "as a file of conformance/scenarios/ it is a case of the suite";
            TestCaseError::fail(format!("{why}\n{how}:\n{text}"))
        })
    });
    if let Err(error) = played {
        panic!("{error}");
    }
}
