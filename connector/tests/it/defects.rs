//! What connectors for DingTalk are known to do wrong, defect by defect: a test for each that is named
//! after it, here or where the matter belongs, or the reason why it cannot apply.

use std::time::Duration;

use mock_dingtalk::{
    Action, ConversationKind, Cut, ErrorBody, Fault, SaidState, Sample, Say, SayConversation,
    Times, When,
};

use crate::played::Played;
use crate::support::World;

/// How we are known to be free of a defect.
pub(crate) enum Free {
    /// By a test of this file.
    Here(&'static str),
    /// By a test of another file of this package.
    Elsewhere(&'static str, &'static str),
    /// It cannot apply.
    Because(&'static str),
}
pub(crate) use Free::{Because, Elsewhere, Here};

/// The known defects. Delivery, then privacy, then what was measured over real sockets.
const DEFECTS: &[(&str, Free)] = &[
    (
        "the access token stands in addresses of pictures that are sent to users",
        Here("access_token_in_what_users_get"),
    ),
    (
        "conversations are told apart by the last 8 characters of their ids",
        Here("conversations_by_their_last_8_characters"),
    ),
    (
        "a group's question is answered in the asker's private chat",
        Here("group_answered_in_a_private_chat"),
    ),
    (
        "pairing and allowlists let everybody through",
        Elsewhere(
            "tests/it/policy.rs",
            "a_stranger_gets_a_code_and_is_answered_once_it_is_approved",
        ),
    ),
    (
        "a debug mode logs the client secret",
        Elsewhere("tests/it/secrets.rs", "no_secret_is_logged_even_when_everything_fails"),
    ),
    (
        "webhooks of one of DingTalk's two hosts are refused",
        Elsewhere(
            "src/openapi/trust.rs",
            "only_dingtalk_the_endpoints_and_allowed_hosts_are_trusted",
        ),
    ),
    (
        "the access token is sent to whatever host a webhook names",
        Here("access_token_at_a_webhook"),
    ),
    (
        "what an agent says makes the connector fetch any address or read any file",
        Because(
            "words of an agent are words; a file is sent only when a program of the same user names its path, and no address is ever fetched for one",
        ),
    ),
    ("the host's configuration is edited at start-up", Because("no configuration file is written")),
    ("a redelivery is recognised by its frame id only", Here("dedupe_by_frame_id_only")),
    (
        "frames of a kind that is not handled are never acked",
        Here("no_ack_for_what_is_not_handled"),
    ),
    ("a redelivery after the answer is answered again", Here("dedupe_only_while_in_work")),
    ("a dead link is invisible while an agent works", Here("deaf_during_a_long_turn")),
    ("the first failure to connect ends the start", Here("first_failure_ends_the_start")),
    (
        "reconnecting at once after each clean close",
        Elsewhere("tests/it/reconnect.rs", "no_sequence_of_failures_makes_a_storm"),
    ),
    (
        "the count of attempts is never reset, so that every later reconnect waits",
        Elsewhere(
            "src/stream/session/tests.rs",
            "the_first_retry_after_a_stable_connection_is_immediate_and_the_next_ones_are_not",
        ),
    ),
    (
        "it stops for good after some reconnects",
        Elsewhere(
            "src/stream/session/properties.rs",
            "no_sequence_of_inputs_breaks_the_laws_of_the_session",
        ),
    ),
    ("messages that are a minute old are dropped", Here("old_messages_dropped")),
    ("messages beyond a hundred are dropped", Here("messages_beyond_a_hundred_dropped")),
    (
        "settings that nobody reads",
        Elsewhere("src/config/accounts/tests.rs", "a_setting_that_is_known_is_read"),
    ),
    ("an errcode inside HTTP 200 counts as sent", Here("errcode_inside_200_counts_as_sent")),
    ("an expired webhook loses the answer", Here("expired_webhook_loses_the_answer")),
    (
        "a health check opens a connection of its own",
        Because(
            "nothing but the one session of a robot opens connections, and it has no call for others",
        ),
    ),
    (
        "a ping is answered without its `opaque`",
        Elsewhere("src/stream/session/tests.rs", "a_ping_frame_is_answered_with_its_own_data"),
    ),
    (
        "`msgtype` is read under another name",
        Elsewhere(
            "src/gateway/turn.rs",
            "the_agent_gets_the_same_turn_of_every_shape_alone_and_in_a_group",
        ),
    ),
    ("a voice without a transcript fails", Here("voice_without_a_transcript")),
    (
        "one text that is no JSON ends the process",
        Elsewhere("tests/it/hostile.rs", "no_hostile_frame_ends_the_connection_or_the_program"),
    ),
    (
        "acked messages die with the process",
        Elsewhere("tests/it/durable.rs", "kill_when_the_first_and_when_the_last_ack_was_read"),
    ),
    (
        "hundreds of opens in a few seconds when the server closes after each connect",
        Elsewhere("tests/it/reconnect.rs", "no_sequence_of_failures_makes_a_storm"),
    ),
    (
        "answers of one conversation come out of order",
        Elsewhere("tests/it/delivery.rs", "answers_of_one_conversation_keep_their_order"),
    ),
    (
        "the common beginning of two blocks is cut from the second",
        Here("common_beginning_of_two_blocks"),
    ),
];

#[test]
fn every_known_defect_has_its_test_or_a_reason() {
    proven("tests/it/defects.rs", DEFECTS);
}

/// Every entry of a list in `file` names a test that is there, or a reason.
pub(crate) fn proven(file: &'static str, list: &[(&str, Free)]) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (defect, free) in list {
        let (file, test) = match free {
            Here(test) => (file, test),
            Elsewhere(file, test) => (*file, test),
            Because(reason) => {
                assert!(reason.len() > 20, "{defect}: a reason");
                continue;
            }
        };
        let source = std::fs::read_to_string(root.join(file)).unwrap();
        assert!(source.contains(&format!("fn {test}(")), "{defect}: no test {test} in {file}");
    }
}

fn path(path: &str) -> When {
    When::Path(path.to_owned())
}

fn group(id: Option<&str>) -> SayConversation {
    let (kind, title) = (ConversationKind::Group, Some("Team".to_owned()));
    SayConversation { kind, id: id.map(str::to_owned), title }
}

/// Every access token that was handed out.
fn tokens(world: &World) -> Vec<String> {
    let journal = world.app.export_journal(false).unwrap();
    let mut tokens: Vec<_> = journal
        .split("accessToken")
        .skip(1)
        .filter_map(|rest| {
            let rest = rest.trim_start_matches(['\\', '"', ':', ' ']);
            let token: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            (token.len() >= 16).then_some(token)
        })
        .collect();
    tokens.sort();
    tokens.dedup();
    assert!(!tokens.is_empty(), "no token was handed out");
    tokens
}

#[tokio::test]
async fn access_token_in_what_users_get() {
    let world = World::new().await;
    let _running = world.start_proven().await;
    world.app.say_picture("user0001", Sample::Png.media()).await.unwrap();
    world.app.say_file("user0001", Sample::Pdf.media()).await.unwrap();
    let sent = world.app.wait_sent(3).await.unwrap();
    let tokens = tokens(&world);
    for row in sent {
        let shown = serde_json::to_string(&row).unwrap();
        assert!(!tokens.iter().any(|token| shown.contains(token)), "{shown}");
    }
}

#[tokio::test]
async fn access_token_at_a_webhook() {
    let world = World::new().await;
    let _running = world.start_proven().await;
    // A picture goes by the robot API, with the token; the words after it by their webhook.
    world.app.say_picture("user0001", Sample::Png.media()).await.unwrap();
    world.app.say("user0001", "words").await.unwrap();
    world.app.wait_sent(3).await.unwrap();
    let tokens = tokens(&world);
    let journal = world.app.export_journal(false).unwrap();
    let posts: Vec<_> =
        journal.lines().filter(|line| line.contains("/robot/sendBySession")).collect();
    assert!(!posts.is_empty());
    for post in posts {
        assert!(!post.to_lowercase().contains("x-acs-dingtalk-access-token"), "{post}");
        assert!(!tokens.iter().any(|token| post.contains(token)), "{post}");
    }
}

#[tokio::test]
async fn conversations_by_their_last_8_characters() {
    let world = World::new().await;
    let (agent, mut asked) = Played::new();
    let _gateway = world.start_with(agent).await;
    let ids = ["cidAAAAAAAAsamesame", "cidBBBBBBBBsamesame"];
    let mut turns = Vec::new();
    for id in ids {
        let say = Say {
            from: "user0001".to_owned(),
            text: id.to_owned(),
            conversation: Some(group(Some(id))),
        };
        world.app.say_with(&say).await.unwrap();
        // Both are being answered at the same time: they are two conversations.
        turns.push(asked.recv().await.unwrap());
    }
    for turn in turns.into_iter().rev() {
        assert_eq!(turn.turn.conversation_id.as_str(), turn.turn.text);
        let text = turn.turn.text.clone();
        turn.speaker.say(dingtalk_connector::agent::Say::text(text)).await;
    }
    for row in world.app.wait_sent(2).await.unwrap() {
        assert_eq!(row.conversation_id, row.text);
    }
}

#[tokio::test]
async fn group_answered_in_a_private_chat() {
    let world = World::new().await;
    let _running = world.start_proven().await;
    // By the webhook, and with that one gone.
    let gone = Action::code(200, "300001", "gone");
    for (count, fault) in [(2, None), (3, Some(Fault::always(path("/robot/sendBySession"), gone)))]
    {
        if let Some(fault) = fault {
            world.app.fault(fault).unwrap();
        }
        let (from, text) = ("user0002".to_owned(), "all of us?".to_owned());
        let say = Say { from, text, conversation: Some(group(None)) };
        let said = world.app.say_with(&say).await.unwrap();
        let sent = world.app.wait_sent(count).await.unwrap();
        let answer = sent.last().unwrap();
        assert_eq!(answer.conversation_id, said.conversation_id, "{}", answer.via);
    }
}

/// The frame that was pushed last, as it went out.
pub(crate) fn last_frame(world: &World) -> serde_json::Value {
    let journal = world.app.journal().unwrap();
    let mut pushes = journal.iter().rev().filter(|entry| entry.text.contains("bot/messages/get"));
    let frame = pushes.next().and_then(|entry| entry.body.clone());
    serde_json::from_str(&frame.expect("the push is in the journal")).unwrap()
}

#[tokio::test]
async fn dedupe_by_frame_id_only() {
    let world = World::new().await;
    let running = world.start_proven().await;
    world.app.say("user0001", "once").await.unwrap();
    world.app.wait_sent(2).await.unwrap();
    // The same message, in a frame of another id.
    let mut frame = last_frame(&world);
    frame["headers"]["messageId"] = "another".into();
    world.app.push_raw(&frame.to_string()).unwrap();
    running.wait_log("a message came again", 1).await;
    world.app.say("user0001", "the end").await.unwrap();
    let sent = world.app.wait_sent(3).await.unwrap();
    assert_eq!(sent[2].text, "the end", "{sent:?}");
}

#[tokio::test]
async fn dedupe_only_while_in_work() {
    let world = World::new().await;
    let running = world.start_proven().await;
    // What was asked first was answered, and is asked again.
    world.app.push_raw(&last_frame(&world).to_string()).unwrap();
    running.wait_log("a message came again", 1).await;
    world.app.say("user0001", "the end").await.unwrap();
    let sent = world.app.wait_sent(2).await.unwrap();
    assert_eq!(sent[1].text, "the end", "{sent:?}");
}

#[tokio::test]
async fn no_ack_for_what_is_not_handled() {
    let world = World::new().await;
    let running = world.start(&[]);
    world.app.wait_connections(1).await.unwrap();
    // Of a stranger, empty, and of a type that nobody knows.
    world.app.say("user0001", "hello").await.unwrap();
    world.app.say("user0002", "").await.unwrap();
    world.app.push_fixture("stream/callback_bot_unknown_msg_type").unwrap();
    let rows = world.app.wait_acked(3).await.unwrap();
    assert!(rows.iter().all(|row| row.acks == 1), "{rows:?}");
    drop(running);
}

#[tokio::test]
async fn deaf_during_a_long_turn() {
    let world = World::new().await;
    let (agent, mut asked) = Played::new();
    let _gateway = world.start_with(agent).await;
    world.app.say("user0001", "think long").await.unwrap();
    let _turn = asked.recv().await.unwrap();
    world.app.cut("all", &Cut::BlackHole).unwrap();
    world
        .app
        .wait_connections_within(2, Duration::from_secs(30))
        .await
        .expect("the dead link is replaced although an answer is being made");
}

#[tokio::test]
async fn first_failure_ends_the_start() {
    let world = World::new().await;
    let refuse = Action::Status(503, ErrorBody::Html);
    world.app.fault(Fault { when: When::Open, times: Times::First(2), action: refuse }).unwrap();
    let mut running = world.start_open();
    world.app.wait_connections(1).await.unwrap();
    assert!(running.is_running());
}

#[tokio::test]
async fn old_messages_dropped() {
    let world = World::new().await;
    // What the mock takes for now is two hours ago for everybody else.
    world.app.clock().jump(-2 * 3_600 * 1_000);
    let _running = world.start_open();
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "late").await.unwrap();
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "late");
}

#[tokio::test]
async fn messages_beyond_a_hundred_dropped() {
    let world = World::new().await;
    let (agent, mut asked) = Played::new();
    let _gateway = world.start_with(agent).await;
    for n in 0..300 {
        let said = world.app.say("user0001", &n.to_string()).await.unwrap();
        assert_eq!(said.state, SaidState::Pushed);
    }
    for n in 0..300 {
        assert_eq!(asked.recv().await.unwrap().turn.text, n.to_string());
    }
}

#[tokio::test]
async fn errcode_inside_200_counts_as_sent() {
    let world = World::new().await;
    let _running = world.start_proven().await;
    let busy = Action::code(200, "-1", "busy");
    let webhook = path("/robot/sendBySession");
    world.app.fault(Fault { when: webhook, times: Times::First(2), action: busy }).unwrap();
    world.app.say("user0001", "really?").await.unwrap();
    assert_eq!(world.app.wait_sent(2).await.unwrap()[1].text, "really?");
}

#[tokio::test]
async fn expired_webhook_loses_the_answer() {
    let world = World::new().await;
    let (agent, mut asked) = Played::new();
    let _gateway = world.start_with(agent).await;
    world.app.say("user0001", "take your time").await.unwrap();
    let turn = asked.recv().await.unwrap();
    world.app.clock().advance(Duration::from_secs(2 * 3_600));
    turn.speaker.say(dingtalk_connector::agent::Say::text("done")).await;
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!(
        (sent[0].via, sent[0].to.as_str(), &*sent[0].text),
        ("batchSend", "user0001", "done")
    );
}

#[tokio::test]
async fn voice_without_a_transcript() {
    let world = World::new().await;
    let running = world.start_proven().await;
    world.app.say_audio("user0001", Sample::Amr.media(), "words").await.unwrap();
    world.app.wait_sent(3).await.unwrap();
    let mut frame = last_frame(&world);
    let mut data: serde_json::Value =
        serde_json::from_str(frame["data"].as_str().unwrap()).unwrap();
    data["content"].as_object_mut().unwrap().remove("recognition").unwrap();
    data["msgId"] = "another".into();
    frame["headers"]["messageId"] = "another".into();
    frame["data"] = data.to_string().into();
    world.app.push_raw(&frame.to_string()).unwrap();
    let sent = world.app.wait_sent(4).await.unwrap();
    assert!(sent[3].media.is_some(), "{sent:?}\n{}", running.log());
}

#[tokio::test]
async fn common_beginning_of_two_blocks() {
    let world = World::new().await;
    let (agent, mut asked) = Played::new();
    let _gateway = world.start_with(agent).await;
    world.app.say("user0001", "twice").await.unwrap();
    let turn = asked.recv().await.unwrap();
    let blocks = ["Step one: look", "Step one: look, then leap", "Step one: look"];
    for block in blocks {
        turn.speaker.say(dingtalk_connector::agent::Say::text(block)).await;
    }
    let texts: Vec<_> =
        world.app.wait_sent(3).await.unwrap().into_iter().map(|row| row.text).collect();
    assert_eq!(texts, blocks);
}
