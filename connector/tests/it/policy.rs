//! Who is answered.

use serde_json::{Value, json};

use crate::support::{Running, World, program};

/// Starts with a config file of one app and these settings; echo answers.
async fn start_with(settings: Value) -> (World, Running) {
    let world = World::new().await;
    let mut section = json!({
        "clientId": world.app.client_id(),
        "clientSecret": world.app.client_secret(),
    });
    section.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let running = world.start_configured(&section);
    world.app.wait_connections(1).await.unwrap();
    (world, running)
}

/// Runs a command beside the robot; returns its exit code and what it printed.
fn tool(world: &World, args: &[&str]) -> (Option<i32>, String, String) {
    let output = program().args(args).env("OPENCLAW_STATE_DIR", world.dir.path()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn waiting(world: &World) -> Vec<Value> {
    let (code, stdout, stderr) = tool(world, &["pairing", "list", "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let lists: Value = serde_json::from_str(&stdout).unwrap();
    lists["waiting"].as_array().unwrap().clone()
}

/// The audit line of a message, once it is there.
async fn audited(running: &Running, msg_id: &str) -> String {
    let lines = running.wait_log(&format!("msg_id=\"{msg_id}\""), 1).await;
    lines.into_iter().find(|line| line.contains("access: ")).unwrap()
}

#[tokio::test]
async fn a_stranger_gets_a_code_and_is_answered_once_it_is_approved() {
    let world = World::new().await;
    let mut running = world.start(&[]);
    world.app.wait_connections(1).await.unwrap();
    let said = world.app.say("user0002", "let me in").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    let rows = waiting(&world);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let code = rows[0]["code"].as_str().unwrap();
    assert_eq!(rows[0]["sender"], "user0002");
    assert_eq!(rows[0]["clientId"], world.app.client_id());
    for part in [code, "user0002", "ddingtalk pairing approve", "配对码", "1 hour"] {
        assert!(sent[0].text.contains(part), "{}", sent[0].text);
    }
    assert!(!sent[0].text.contains("let me in"), "the agent was not asked: {}", sent[0].text);
    world.app.wait_acked(1).await.unwrap();
    let line = audited(&running, &said.msg_id).await;
    for part in
        ["decision=\"refuse\"", "rule=\"dmPolicy=pairing\"", "sender=\"user0002\"", "chat=cid"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!running.log().contains("let me in"), "no words are logged");

    // Not told twice, and not answered; told apart from others by the order in one chat.
    world.app.say("user0002", "hello?").await.unwrap();
    running.wait_log("and has a code", 1).await;
    let (status, stdout, _) = tool(&world, &["pairing", "approve", &code.to_lowercase()]);
    assert_eq!((status, stdout.starts_with("approved: user0002")), (Some(0), true), "{stdout}");
    let said = world.app.say("user0002", "and now?").await.unwrap();
    // The answer and the news of the pairing, in any order.
    let sent = world.app.wait_sent(3).await.unwrap();
    assert_eq!(sent.iter().filter(|row| row.text == "and now?").count(), 1, "{sent:?}");
    let line = audited(&running, &said.msg_id).await;
    assert!(line.contains("decision=\"admit\""), "{line}");
    assert!(waiting(&world).is_empty());
    let (status, _, stderr) = tool(&world, &["pairing", "approve", code]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains(code) && stderr.contains("pairing list"), "{stderr}");

    // It survives a restart.
    running.terminate();
    assert!(running.ended().await.success());
    let running = world.start(&[]);
    running.wait_log("connected to the gateway", 1).await;
    world.app.say("user0002", "still?").await.unwrap();
    assert_eq!(world.app.wait_sent(4).await.unwrap()[3].text, "still?");
}

#[tokio::test]
async fn who_is_approved_is_told_once_also_when_the_robot_was_away() {
    let world = World::new().await;
    let mut running = world.start(&[]);
    world.app.wait_connections(1).await.unwrap();
    let code = async |user: &str, count: usize| {
        world.app.say(user, "me").await.unwrap();
        let hint = world.app.wait_sent(count).await.unwrap().last().unwrap().text.clone();
        hint.rsplit(' ').next().unwrap().to_owned()
    };
    let (first, second) = (code("user0001", 1).await, code("user0002", 2).await);
    assert_eq!(tool(&world, &["pairing", "approve", &first]).0, Some(0));
    let sent = world.app.wait_sent(3).await.unwrap();
    assert_eq!((sent[2].via, sent[2].to.clone()), ("batchSend", "user0001".to_owned()));
    assert!(
        sent[2].text.contains("配对成功") && sent[2].text.contains("paired"),
        "{}",
        sent[2].text
    );
    running.terminate();
    assert!(running.ended().await.success());
    assert_eq!(tool(&world, &["pairing", "approve", &second]).0, Some(0));
    let running = world.start(&[]);
    running.wait_log("paired, and told so", 1).await;
    let sent = world.app.wait_sent(4).await.unwrap();
    assert_eq!((sent.len(), sent[3].to.clone()), (4, "user0002".to_owned()));
    for code in [first, second] {
        assert!(!running.log().contains(&code), "a code is a secret until it is used");
    }
}

#[tokio::test]
async fn who_is_revoked_is_a_stranger_again() {
    let world = World::new().await;
    let running = world.start(&[]);
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "me").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    let code = waiting(&world)[0]["code"].as_str().unwrap().to_owned();
    assert_eq!(tool(&world, &["pairing", "approve", &code]).0, Some(0));
    running.wait_log("paired, and told so", 1).await;
    let (_, stdout, _) = tool(&world, &["pairing", "list"]);
    assert!(stdout.contains("nobody waits\npaired    user0001  "), "{stdout}");
    let (_, stdout, _) = tool(&world, &["pairing", "list", "--json"]);
    let lists: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(lists["paired"][0]["sender"], "user0001");
    assert_eq!(lists["paired"][0]["clientId"], world.app.client_id());
    let other = tool(&world, &["pairing", "revoke", "user0001", "--client-id", "dingOther"]);
    assert_eq!(other.0, Some(1), "{other:?}");
    let (status, stdout, _) = tool(&world, &["pairing", "revoke", "user0001"]);
    assert_eq!((status, stdout.starts_with("revoked: user0001")), (Some(0), true), "{stdout}");
    let (status, _, stderr) = tool(&world, &["pairing", "revoke", "user0001"]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("user0001") && stderr.contains("pairing list"), "{stderr}");
    // What the robot knows is a second old at most.
    let mut hints = 0;
    for n in 3..20 {
        world.app.say("user0001", "still me?").await.unwrap();
        let sent = world.app.wait_sent(n).await.unwrap();
        hints = sent.iter().filter(|row| row.text.contains("pairing approve")).count();
        if hints == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(hints, 2, "another code");
}

#[tokio::test]
async fn a_stranger_who_floods_leaves_a_few_rows_and_the_audit_has_them_all() {
    let world = World::new().await;
    let running = world.start(&[]);
    world.app.wait_connections(1).await.unwrap();
    for n in 0..40 {
        world.app.say("user0002", &n.to_string()).await.unwrap();
    }
    world.app.wait_acked(40).await.unwrap();
    running.wait_log("audit: access: the sender is not paired, and writes too much", 35).await;
    let db =
        rusqlite::Connection::open(world.dir.path().join("ddingtalk/ddingtalk.sqlite3")).unwrap();
    let rows: i64 = db.query_row("SELECT count(*) FROM inbox", (), |row| row.get(0)).unwrap();
    assert_eq!(rows, 5);
    assert_eq!(world.app.wait_sent(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_two_who_approve_at_once_one_does() {
    let world = World::new().await;
    let running = world.start(&[]);
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "me").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    let code = waiting(&world)[0]["code"].as_str().unwrap().to_owned();
    let approving: Vec<_> = (0..4)
        .map(|_| {
            let mut command = program();
            command.args(["pairing", "approve", &code]).env("OPENCLAW_STATE_DIR", world.dir.path());
            std::thread::spawn(move || command.output().unwrap())
        })
        .collect();
    let mut approved = 0;
    for output in approving.into_iter().map(|thread| thread.join().unwrap()) {
        let stderr = String::from_utf8(output.stderr).unwrap();
        approved += usize::from(output.status.success());
        assert!(output.status.success() || stderr.contains("nobody waits"), "{stderr}");
    }
    assert_eq!(approved, 1);
    running.wait_log("paired, and told so", 1).await;
}

#[tokio::test]
async fn who_is_denied_hears_nothing_more_and_the_fourth_stranger_gets_no_code() {
    let world = World::new().await;
    let running = world.start(&[]);
    world.app.wait_connections(1).await.unwrap();
    for (n, user) in ["user0001", "user0002", "user0003"].into_iter().enumerate() {
        world.app.say(user, "me").await.unwrap();
        world.app.wait_sent(n + 1).await.unwrap();
    }
    world.app.say("user0004", "me too").await.unwrap();
    running.wait_log("as many wait as may", 1).await;
    let rows = waiting(&world);
    assert_eq!(rows.len(), 3, "{rows:?}");
    let (status, stdout, _) =
        tool(&world, &["pairing", "deny", rows[0]["code"].as_str().unwrap(), "--json"]);
    assert_eq!(status, Some(0));
    let denied: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&denied["sender"], &denied["decision"]), (&json!("user0001"), &json!("denied")));
    world.app.say("user0001", "please").await.unwrap();
    running.wait_log("the sender's request was denied", 1).await;
    // The place is free again.
    world.app.say("user0004", "me too").await.unwrap();
    let sent = world.app.wait_sent(4).await.unwrap();
    assert!(sent[3].text.contains("user0004"), "{}", sent[3].text);
}

#[tokio::test]
async fn a_group_that_is_not_allowed_gets_nothing() {
    let world = World::new().await;
    let running = world.start(&["--dm-policy", "open"]);
    world.app.wait_connections(1).await.unwrap();
    world.app.say_in_group("user0001", "Team", "anybody?").await.unwrap();
    running.wait_log("the group is not on the allowlist", 1).await;
    world.app.wait_acked(1).await.unwrap();
    world.app.say("user0001", "sentinel").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].text, "sentinel");
}

#[tokio::test]
async fn the_allowlist_admits_those_on_it_and_nobody_else() {
    let settings = json!({ "dmPolicy": "allowlist", "allowFrom": ["user0001"] });
    let (world, running) = start_with(settings).await;
    world.app.say("user0002", "not me").await.unwrap();
    running.wait_log("the sender is not on the allowlist", 1).await;
    world.app.say("user0001", "me").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!((sent.len(), sent[0].text.as_str()), (1, "me"));
}

#[tokio::test]
async fn in_a_listed_group_those_are_answered_who_are_listed() {
    let world = World::new().await;
    let team = world.app.say_in_group("user0001", "Team", "before").await.unwrap().conversation_id;
    let section = json!({
        "clientId": world.app.client_id(),
        "clientSecret": world.app.client_secret(),
        "groups": { (team): { "allowFrom": ["user0001"] } },
    });
    let running = world.start_configured(&section);
    world.app.wait_connections(1).await.unwrap();
    world.app.say_in_group("user0002", "Team", "not me").await.unwrap();
    running.wait_log("the sender is not on the group's allowlist", 1).await;
    world.app.say_in_group("user0001", "Other", "not here").await.unwrap();
    running.wait_log("the group is not on the allowlist", 1).await;
    world.app.say_in_group("user0001", "Team", "here").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!((sent.len(), sent[0].text.as_str()), (1, "here"));
}

/// A group message as the gateway pushes it, the robot mentioned or not.
fn group_frame(n: u32, mentioned: bool) -> String {
    let data = json!({
        "conversationId": "cidQuiet==", "conversationType": "2", "conversationTitle": "Quiet",
        "msgId": format!("msgQuiet{n}"), "senderStaffId": "user0001", "senderId": "$:x",
        "chatbotUserId": "$:bot", "isInAtList": mentioned, "msgtype": "text",
        "text": { "content": "psst" },
    });
    let headers = json!({
        "topic": "/v1.0/im/bot/messages/get", "messageId": format!("frameQuiet{n}"),
        "contentType": "application/json", "time": "1",
    });
    json!({ "specVersion": "1.0", "type": "CALLBACK", "headers": headers, "data": data.to_string() })
        .to_string()
}

#[tokio::test]
async fn a_group_message_without_a_mention_is_left_unless_that_is_asked_for() {
    let (world, running) = start_with(json!({ "groupPolicy": "open" })).await;
    world.app.push_raw(&group_frame(1, false)).unwrap();
    assert!(audited(&running, "msgQuiet1").await.contains("rule=\"requireMention\""));
    world.app.push_raw(&group_frame(2, true)).unwrap();
    assert!(audited(&running, "msgQuiet2").await.contains("decision=\"admit\""));
    running.kill();
    let settings = json!({ "groupPolicy": "open", "groups": { "*": { "requireMention": false } } });
    let (world, running) = start_with(settings).await;
    world.app.push_raw(&group_frame(3, false)).unwrap();
    assert!(audited(&running, "msgQuiet3").await.contains("decision=\"admit\""));
}

#[tokio::test]
async fn who_writes_too_much_is_told_once() {
    let settings = json!({ "dmPolicy": "open", "rateLimit": { "messages": 2, "seconds": 3600 } });
    let (world, running) = start_with(settings).await;
    for n in 0..5 {
        world.app.say("user0001", &n.to_string()).await.unwrap();
    }
    running.wait_log("the sender writes too much", 3).await;
    world.app.say("user0002", "another").await.unwrap();
    let sent = world.app.wait_sent(4).await.unwrap();
    let told = sent.iter().filter(|row| row.text.contains("too fast")).count();
    assert_eq!((sent.len(), told), (4, 1));
}

#[tokio::test]
async fn a_policy_can_be_tried_without_a_robot() {
    let world = World::new().await;
    let section = json!({
        "clientId": "dingA", "clientSecret": "s3cr3t", "allowFrom": ["user0001"],
        "groups": { "cidA==": {} }, "accounts": { "open": {
            "clientId": "dingB", "clientSecret": "s3cr3t", "dmPolicy": "open" } },
    });
    world.configure(&section);
    let test = |args: &[&str]| {
        let args = [&["policy", "test", "--json", "--user"], args].concat();
        let (code, stdout, stderr) = tool(&world, &args);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stdout.contains("s3cr3t") && !stderr.contains("s3cr3t"));
        let rows: Vec<Value> = serde_json::from_str(&stdout).unwrap();
        let row = |row: &Value| {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            format!("{} {} {}", text("account"), text("decision"), text("rule"))
        };
        rows.iter().map(row).collect::<Vec<_>>().join(", ")
    };
    let default = |args: &[&str]| test(&[args, &["--account", "default"]].concat());
    assert_eq!(test(&["user0001"]), "default admit allowFrom, open admit dmPolicy=open");
    assert_eq!(default(&["user0002"]), "default pair dmPolicy=pairing");
    assert_eq!(
        default(&["user0002", "--dm-policy", "disabled"]),
        "default refuse dmPolicy=disabled"
    );
    assert_eq!(default(&["user0002", "--chat", "cidB=="]), "default refuse groupPolicy=allowlist");
    assert_eq!(default(&["user0002", "--chat", "cidA=="]), "default refuse requireMention");
    assert_eq!(
        default(&["user0002", "--chat", "cidA==", "--mentioned"]),
        "default admit groups.cidA=="
    );
    let (code, _, stderr) = tool(&world, &["policy", "test", "--user", "x", "--account", "none"]);
    assert_eq!(code, Some(10));
    assert!(stderr.contains("default, open"), "{stderr}");
}

#[tokio::test]
async fn what_only_looks_makes_nothing_and_disturbs_no_gateway() {
    let world = World::new().await;
    let section = json!({ "clientId": "dingA", "clientSecret": "s3cr3t" });
    world.configure(&section);
    let looks: [&[&str]; 6] = [
        &["pairing", "list"],
        &["policy", "test", "--user", "user0001"],
        &["inbox", "list", "--all"],
        &["doctor", "--no-connect", "--timeout", "1s"],
        &["channels", "list"],
        &["gateway", "status"],
    ];
    let state = world.dir.path().join("ddingtalk");
    for args in looks {
        tool(&world, args);
        assert!(!state.exists(), "{args:?}");
    }
    // A database that a gateway has left, in a directory that nobody may write to.
    let mut running = world.start(&[]);
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "hello").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    running.terminate();
    assert!(running.ended().await.success());
    let look = || {
        let entries = std::fs::read_dir(&state).unwrap().map(Result::unwrap);
        let file = |entry: std::fs::DirEntry| {
            (entry.file_name(), std::fs::read(entry.path()).unwrap_or_default())
        };
        entries.map(file).collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = look();
    assert_eq!(waiting(&world).len(), 1);
    for args in looks {
        tool(&world, args);
        let after = look();
        assert!(after == before, "{args:?}: {:?} were {:?}", after.keys(), before.keys());
    }
    // Whatever a program of another release would have to bring up to date first is named and left alone.
    let db = rusqlite::Connection::open(state.join("ddingtalk.sqlite3")).unwrap();
    db.pragma_update(None, "user_version", 3).unwrap();
    drop(db);
    let before = look();
    for args in &looks[..3] {
        let (code, _, stderr) = tool(&world, args);
        assert_eq!(code, Some(11), "{args:?}: {stderr}");
        assert!(stderr.contains("start its gateway once"), "{args:?}: {stderr}");
        assert!(look() == before, "{args:?}");
    }
}

#[tokio::test]
async fn agent_none_acks_and_says_nothing() {
    let world = World::new().await;
    let mut running = world.start(&["--agent", "none", "--dm-policy", "open"]);
    world.app.wait_connections(1).await.unwrap();
    for n in 0..20 {
        world.app.say("user0001", &n.to_string()).await.unwrap();
    }
    world.app.wait_acked(20).await.unwrap();
    running.terminate();
    assert!(running.ended().await.success());
    assert!(world.app.sent().unwrap().is_empty());
}

#[tokio::test]
async fn a_database_that_is_held_for_a_moment_is_waited_for_and_then_named() {
    let world = World::new().await;
    let running = world.start(&[]);
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "me").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    let code = waiting(&world)[0]["code"].as_str().unwrap().to_owned();
    running.kill();
    let file = world.dir.path().join("ddingtalk/ddingtalk.sqlite3");
    let db = rusqlite::Connection::open(file).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (status, _, stderr) = tool(&world, &["pairing", "approve", &code]);
    assert_eq!(status, Some(11), "{stderr}");
    assert!(stderr.contains("locked"), "{stderr}");
    db.execute_batch("ROLLBACK").unwrap();
    assert_eq!(tool(&world, &["pairing", "approve", &code]).0, Some(0));
}
