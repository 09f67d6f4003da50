//! `mock-dingtalk scenario`: files are played on a running app, or with a command of their own.

use mock_dingtalk::{AppOptions, MockDingtalk, Scenario};
use serde_json::Value;

use crate::{
    process::{program, run},
    support::Bot,
};

/// Writes a scenario of these steps.
fn file(folder: &tempfile::TempDir, name: &str, steps: &str) -> String {
    let path = folder.path().join(name);
    let text = format!(r#"{{"title":"{name}","patience":"500ms","steps":{steps}}}"#);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn on_a_running_app_the_bot_is_somebody_elses() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app_with(AppOptions::default().client_id("dingmockone")).unwrap();
    let mut bot = Bot::connect(&mock, &app).await;
    let folder = tempfile::tempdir().unwrap();
    let acked = r#"[{"message":{"from":"user0001","text":"hi"},"as":"m"},{"acked":{"of":"m"}}]"#;
    let files = [
        file(&folder, "acked", acked),
        file(&folder, "lonely", r#"[{"connections":{"open":0}}]"#),
        file(&folder, "again", r#"[{"restart":{}}]"#),
    ];
    let url = mock.url().to_owned();
    let played = tokio::task::spawn_blocking(move || {
        let mut command = program();
        command.args(["scenario", "run", "--url", &url, "--json"]).args(files);
        command.output().unwrap()
    });
    let frame = bot.frame().await;
    bot.ack(&frame).await;
    let output = played.await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let verdicts: Vec<_> = rows.iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["pass", "fail", "untestable"], "{rows:?}");
    let why = |at: usize| rows[at]["why"].as_str().unwrap();
    assert!(why(1).contains("step 0: after 500ms: the connections are 1 open"), "{}", why(1));
    assert!(why(2).contains("give its command after --"), "{}", why(2));
}

#[test]
fn a_command_is_started_for_each_file_as_an_app_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let none = r#"[{"connections":{"open":0}},{"restart":{}}]"#;
    let files = [file(&folder, "one", none), file(&folder, "two", none)];
    let log = folder.path().join("log");
    let line = format!("echo $DINGTALK_CLIENT_ID >> '{}'; sleep 600", log.display());
    let output =
        run(&["scenario", "run", &files[0], &files[1], "--seed", "7", "--", "sh", "-c", &line]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.lines().filter(|line| line.starts_with("pass ")).count(), 2, "{table}");
    let deaf = file(&folder, "deaf", r#"[{"connections":{"open":1}}]"#);
    let output = run(&["scenario", "run", &deaf, "--", "sleep", "600"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("VERDICT"));
    let output = run(&["scenario", "run", &deaf, "--", "/no/such/bot"]);
    assert_eq!(output.status.code(), Some(127), "{output:?}");
}

#[test]
fn what_is_no_scenario_is_refused_before_anything_is_played() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = file(&folder, "wrong", r#"[{"connections":{"opne":1}}]"#);
    let output = run(&["scenario", "run", &wrong, "--", "true"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`steps[0].connections.opne`"), "{said}");
    assert_eq!(run(&["scenario", "run", "/no/such/file"]).status.code(), Some(2));
    let printed = run(&["scenario", "schema"]);
    let schema: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(schema, Scenario::schema());
}
