//! Verbs for an app's settings, its files and robots, and for pushes that nobody speaks.

use insta::assert_snapshot;
use mock_dingtalk::{AppOptions, Permission};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    caller::Caller,
    process::program,
    shell::{cli, json_of, start, transcripts},
    support::{Bot, data},
};

#[tokio::test]
async fn settings_of_an_app_are_shown_and_changed_from_a_shell() {
    let mock = start().await;
    let app = mock.app_with(AppOptions::default().client_id("dingmockone")).unwrap();
    let text = transcripts(
        mock.url(),
        &[
            &["limits", "show"],
            &["limits", "set", "--per-second", "5", "--per-month", "100"],
            &["limits", "set", "--per-second", "none", "--flow-controlled", "user0001,user0002"],
            &["limits", "set", "--flow-controlled", "", "--undocumented-replies", "false"],
            &["limits", "set"],
            &["limits", "set", "--per-minute", "many"],
            &["limits", "set", "--flow-controlled", "nobody"],
            &["permissions", "show"],
            &["permissions", "revoke", "Card.Streaming.Write", "qyapi_get_member"],
            &["permissions", "grant", "Card.Streaming.Write", "--app", "dingmockone"],
            &["permissions", "grant", "Card"],
            &["permissions", "revoke"],
            &["token", "revoke"],
            &["strictness", "show"],
            &["strictness", "lenient"],
            &["strictness", "strict"],
            &["delivery", "show"],
            &["delivery", "set", "--profile", "observed-16s", "--ghost-for", "1m"],
            &["delivery", "set", "--same-message-id", "true"],
            &["delivery", "set", "--profile", "observed-90s"],
            &[
                "apps",
                "mint",
                "--client-id",
                "dingmocktwo",
                "--client-secret",
                "s2",
                "--missing-permission",
                "Card.Instance.Write",
            ],
            &["permissions", "show", "--app", "dingmocktwo"],
            &["permissions", "show"],
            &["apps", "show", "dingmocktwo"],
        ],
    )
    .await;
    assert_snapshot!("cli_settings", text);
    assert_eq!(app.permissions().unwrap().missing, [Permission::GetMember]);
    assert_eq!(app.limits().unwrap().per_month, Some(100));
    let shown = json_of(mock.url(), &["limits", "show", "--app", "dingmockone"]).await;
    assert_eq!((&shown["perSecond"], &shown["perMonth"]), (&Value::Null, &json!(100)));
}

#[tokio::test]
async fn events_callbacks_and_frames_are_pushed_from_a_shell() {
    let caller = Caller::new().await;
    let url = caller.mock.url();
    let (code, table, note) = cli(url, &["event", "chat_update_title", "--data", "{}"]).await;
    assert!(code == 0 && table.contains("queued"), "{table}");
    assert!(note.contains("no bot is connected: the event waits for one"), "{note}");
    let mut bot = Bot::connect(&caller.mock, &caller.app).await;
    caller.app.wait_connections(1).await.unwrap();
    assert_eq!(bot.frame().await["headers"]["eventType"], "chat_update_title");
    let event = ["event", "chat_update_title", "--data", r#"{"Title":"x"}"#, "--event-id", "e1"];
    let said = json_of(url, &event).await;
    assert_eq!(said["state"], "pushed");
    let frame = bot.frame().await;
    assert_eq!(frame["headers"]["eventId"], "e1");
    assert_eq!(data(&frame)["Title"], "x");
    let raw = json_of(url, &["frame", "--connection", "all", "{not json"]).await;
    assert_eq!(raw["state"], "pushed");
    assert_eq!(bot.next().await.unwrap().unwrap(), Message::text("{not json"));
    json_of(url, &["frame", "once"]).await;
    assert_eq!(bot.text().await, "once");
    let (code, _, note) = cli(url, &["callback", "graph", "--uri", "/x"]).await;
    assert!(code == 0 && note.contains("the callback is lost"), "{note}");
    let said = json_of(url, &["callback", "dynamicData", "--card", "card-1"]).await;
    assert_eq!(said["state"], "lost");
    for (arguments, code, said) in [
        (["callback", "/v1.0/some/topic", "--json"].as_slice(), 1, "`data` is missing"),
        (&["callback", "x", "--data", "{"], 2, "--data is not JSON"),
        (&["event", "robot_msg_read", "--key", "k"], 2, "--from"),
        (&["event", "robot_msg_read", "--from", "", "--key", "k"], 1, "`userId` is"),
        (&["frame", "--connection", "none", "x"], 1, "there is no live connection `none`"),
    ] {
        let (got, _, error) = cli(url, arguments).await;
        assert!(got == code && error.contains(said), "{arguments:?}: {got} {error}");
    }
}

#[tokio::test]
async fn a_person_reads_from_a_shell_and_the_bot_is_told() {
    let caller = Caller::new().await;
    let body = json!({
        "robotCode": caller.app.robot_code(), "userIds": ["user0001"], "msgKey": "sampleText",
        "msgParam": r#"{"content":"hi"}"#,
    });
    let answer = caller.post("/v1.0/robot/oToMessages/batchSend", &body).await;
    let key = answer["body"]["processQueryKey"].as_str().unwrap();
    let url = caller.mock.url();
    assert_eq!(cli(url, &["read", key]).await, (0, String::new(), String::new()));
    let query: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
    let robot = caller.app.robot_code();
    let path = "/v1.0/robot/oToMessages/readStatus";
    let status = caller.get(&format!("{path}?robotCode={robot}&processQueryKey={query}")).await;
    assert_eq!(status["body"]["messageReadInfoList"][0]["readStatus"], "READ", "{status}");
    let mut bot = Bot::connect(&caller.mock, &caller.app).await;
    caller.app.wait_connections(1).await.unwrap();
    json_of(url, &["event", "robot_msg_read", "--from", "user0001", "--key", key]).await;
    assert_eq!(data(&bot.frame().await)["processQueryKey"], key);
    let (code, _, error) = cli(url, &["read", "none"]).await;
    assert!(code == 1 && error.contains("the processQueryKey of a message"), "{error}");
}

#[tokio::test]
async fn files_come_and_go_by_a_shell() {
    let caller = Caller::new().await;
    let group = caller.group().await;
    let url = caller.mock.url();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.txt");
    std::fs::write(&path, b"\x00\xffplan").unwrap();
    let path = path.to_str().unwrap();
    let added = json_of(url, &["files", "add", path]).await;
    assert_eq!((&added["name"], &added["size"]), (&json!("plan.txt"), &json!(6)));
    let code = added["downloadCode"].as_str().unwrap().to_owned();
    let body = json!({"robotCode": caller.app.robot_code(), "downloadCode": code});
    assert_eq!(caller.post("/v1.0/robot/messageFiles/download", &body).await["status"], 200);
    let mut get = program();
    get.args(["files", "get", &code, "--url", url]);
    let output = tokio::task::spawn_blocking(move || get.output().unwrap()).await.unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"\x00\xffplan"[..]));
    let grouped = ["files", "add", path, "--name", "other.txt", "--conversation", &group];
    assert!(json_of(url, &grouped).await["dentryId"].is_string());
    for (arguments, code, said) in [
        (["files", "add", "/nonexistent"].as_slice(), 2, "cannot read /nonexistent"),
        (&["files", "get", "none"], 1, "there is no file `none`"),
        (&["files", "add", path, "--conversation", "cid"], 1, "allowed is the id of a group"),
    ] {
        let (got, _, error) = cli(url, arguments).await;
        assert!(got == code && error.contains(said), "{arguments:?}: {got} {error}");
    }
}

#[tokio::test]
async fn custom_robots_are_minted_from_a_shell() {
    let caller = Caller::new().await;
    let url = caller.mock.url();
    let open = json_of(url, &["custom-robots", "add"]).await;
    assert!(open.get("secret").is_none(), "{open}");
    let guarded = [
        "custom-robots",
        "add",
        "--group",
        "Builds",
        "--keyword",
        "build",
        "--keyword",
        "test",
        "--ip",
        "127.0.0.1",
        "--secret",
    ];
    let robot = json_of(url, &guarded).await;
    assert!(robot["secret"].as_str().unwrap().starts_with("SECdingmock"), "{robot}");
    assert_eq!(robot["keywords"], json!(["build", "test"]));
    let webhook = open["webhook"].as_str().unwrap().strip_prefix(url).unwrap();
    let message = json!({"msgtype": "text", "text": {"content": "hi"}});
    assert_eq!(caller.post(webhook, &message).await["body"]["errcode"], 0);
    assert_eq!(json_of(url, &["custom-robots", "list"]).await, json!([open, robot]));
    let (code, _, error) = cli(url, &["custom-robots", "add", "--secret", "mine"]).await;
    assert!(code == 1 && error.contains("`secret`"), "{error}");
}

#[tokio::test]
async fn what_there_is_can_be_listed_from_a_shell() {
    let caller = Caller::new().await;
    let url = caller.mock.url();
    let said = caller.app.say("user0001", "hi").await.unwrap();
    let reaction = json!({
        "robotCode": caller.app.robot_code(), "openMsgId": said.msg_id,
        "openConversationId": said.conversation_id, "emotionType": 2, "emotionName": "ok",
        "textEmotion": {
            "emotionId": "1", "emotionName": "ok", "text": "ok", "backgroundId": "im_bg_1",
        },
    });
    assert_eq!(caller.post("/v1.0/robot/emotion/reply", &reaction).await["status"], 200);
    caller.get("/v1.0/nowhere").await;
    let (_, reactions, _) = cli(url, &["reactions"]).await;
    assert!(reactions.contains(&said.msg_id) && reactions.contains(&said.conversation_id));
    assert_eq!(json_of(url, &["unmatched"]).await, json!(["GET /v1.0/nowhere"]));
    let (_, fixtures, _) = cli(url, &["fixtures"]).await;
    assert!(
        fixtures.starts_with("FIXTURE\n") && fixtures.contains("stream/callback_bot_text_dm\n")
    );
    let (_, pem, _) = cli(url, &["ca"]).await;
    assert_eq!(pem, caller.mock.ca_pem());
    let rules = json_of(url, &["findings", "--rules"]).await;
    assert_eq!(rules.as_array().unwrap().len(), mock_dingtalk::MockDingtalk::finding_rules().len());
}

#[tokio::test]
async fn waits_take_durations_and_a_replay_says_where_journals_come_from() {
    let mock = start().await;
    mock.app_with(AppOptions::default().client_id("dingmockone")).unwrap();
    let url = mock.url();
    let text = transcripts(
        url,
        &[
            &["sent", "--wait", "1", "--timeout", "20ms"],
            &["sent", "--wait", "1", "--timeout", "1"],
            &["sent", "--wait", "1", "--timeout", "soon"],
            &["sent", "--wait", "1", "--timeout", "2h"],
            &["replay", "/nonexistent.jsonl"],
            &["journal", "--export", "half"],
        ],
    )
    .await;
    assert_snapshot!("cli_waits", text);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.jsonl");
    let (code, export, _) = cli(url, &["journal", "--export"]).await;
    let head: Value = serde_json::from_str(export.lines().next().unwrap()).unwrap();
    assert_eq!((code, &head["redacted"]), (0, &json!(true)), "{head}");
    std::fs::write(&path, export).unwrap();
    let (code, said, error) = cli(url, &["replay", path.to_str().unwrap()]).await;
    assert!(code == 0 && said.contains("\"same\":true"), "{code} {said} {error}");
    std::fs::write(&path, "{}").unwrap();
    let (code, _, error) = cli(url, &["replay", path.to_str().unwrap()]).await;
    assert!(code == 2 && error.contains("journal --export"), "{error}");
}
