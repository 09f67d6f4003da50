//! `mock-dingtalk scenario`: files are played on a running app, or with a command of their own.

use mock_dingtalk::{Action, AppOptions, DeliveryRules, Fault, MockDingtalk, Scenario, When};
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

#[tokio::test]
async fn what_a_file_did_to_a_running_app_is_not_there_for_the_next_one() {
    let mock = MockDingtalk::start().await.unwrap();
    let rules = DeliveryRules { same_message_id: true, ..DeliveryRules::default() };
    let mut options = AppOptions::default().client_id("dingmockone");
    options.lenient = Some(true);
    options.delivery = rules;
    let app = mock.app_with(options).unwrap();
    let own = Fault::first(1, When::Path("/gettoken".to_owned()), Action::Hang);
    app.fault(own).unwrap();
    let mut bot = Bot::connect(&mock, &app).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole");
    let text = r#"{"title":"t","patience":"10s","app":{"profile":"observed-60s","lenient":false},
        "steps":[
            {"fault":{"when":"open","times":"always","action":{"type":"hang"}}},
            {"connections":{"open":1,"made":1}},
            {"message":{"from":"user0001","text":"hi"},"as":"m"},
            {"acked":{"of":"m"}},
            {"sent":{"texts":["hi"],"only":true,"via":["sessionWebhook"]}},
            {"noFindings":{"severity":"error"}}
        ]}"#;
    std::fs::write(&path, text).unwrap();
    let url = mock.url().to_owned();
    let played = tokio::task::spawn_blocking(move || {
        let mut command = program();
        command.args(["scenario", "run", "--url", &url, "--json"]).args([&path, &path]);
        command.output().unwrap()
    });
    for _ in 0..2 {
        let frame = bot.frame().await;
        bot.ack(&frame).await;
        let data = crate::support::data(&frame);
        let answer = serde_json::json!({"msgtype": "text", "text": data["text"]});
        let webhook = data["sessionWebhook"].as_str().unwrap();
        let told = crate::support::http().post(webhook).json(&answer).send().await.unwrap();
        assert_eq!(told.json::<Value>().await.unwrap()["errcode"], 0);
    }
    let output = played.await.unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let verdicts: Vec<_> = rows.iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["pass", "pass"], "{rows:?}");
    assert_eq!((app.delivery().unwrap(), app.is_lenient().unwrap()), (rules, true));
    assert_eq!(app.faults().unwrap().len(), 1);
}

/// The bot keeps a pipe open, whose end is seen when the last of its processes is gone.
#[cfg(unix)]
#[test]
fn the_bot_ends_with_its_file_and_with_the_program() {
    use std::io::{BufRead as _, BufReader, Read as _};

    let folder = tempfile::tempdir().unwrap();
    let short = file(&folder, "short", r#"[{"connections":{"open":2,"within":"2s"}}]"#);
    let long = r#"[{"connections":{"open":2,"within":"5m"}}]"#;
    let long = file(&folder, "long", long);
    // What the shell leaves behind is of its group.
    for (name, scenario, line, signal, code) in [
        ("a", &long, "sleep 600", Some("TERM"), 143),
        ("b", &long, "sleep 600", Some("INT"), 130),
        ("c", &short, "sleep 600 & ", None, 1),
    ] {
        let pipe = folder.path().join(format!("pipe-{name}"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let line = format!("exec 3>'{}'; echo here >&3; {line}", pipe.display());
        let mut command = program();
        command.args(["scenario", "run", scenario, "--", "sh", "-c", &line]);
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        let mut bot = BufReader::new(std::fs::File::open(&pipe).unwrap());
        bot.read_line(&mut String::new()).unwrap();
        if let Some(signal) = signal {
            let id = child.id().to_string();
            let sent = std::process::Command::new("kill").args(["-s", signal, &id]).status();
            assert!(sent.unwrap().success());
        }
        assert_eq!(child.wait().unwrap().code(), Some(code), "{name}");
        let (told, gone) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send(bot.read_to_end(&mut Vec::new()).unwrap()));
        gone.recv_timeout(crate::support::PATIENCE).expect("the bot has ended");
    }
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
