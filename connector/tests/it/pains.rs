//! What people who run connectors for DingTalk complain about most, pain by pain: a test for each, here or
//! where the matter belongs, or the reason why it cannot apply.

use std::time::Duration;

use dingtalk_connector::agent::{AttachmentKind, Say};
use dingtalk_connector::gateway::cards::CardConfig;
use dingtalk_connector::gateway::{Gateway, GatewayConfig};
use mock_dingtalk::{Action, Fault, Quote, Sample, When};

use crate::defects::Free::{self, Because, Elsewhere, Here};
use crate::defects::{last_frame, proven};
use crate::played::Played;
use crate::scripted::Scripted;
use crate::support::{World, eventually};

/// The pains, the most frequent ones first as far as threads were counted.
const PAINS: &[(&str, Free)] = &[
    (
        "it goes deaf, looks connected, and only a restart helps",
        Elsewhere("tests/it/reconnect.rs", "a_link_that_went_dead_without_a_sign_is_replaced"),
    ),
    (
        "it goes deaf when the computer has slept",
        Elsewhere(
            "src/stream/session/tests.rs",
            "a_computer_that_slept_gets_a_new_connection_at_once",
        ),
    ),
    (
        "storms of reconnects",
        Elsewhere("tests/it/reconnect.rs", "no_sequence_of_failures_makes_a_storm"),
    ),
    ("floods of the log", Elsewhere("tests/it/hostile.rs", "one_kind_of_nonsense_is_logged_once")),
    (
        "messages are lost around a reconnect",
        Elsewhere("tests/it/reconnect.rs", "no_message_pushed_around_a_disconnect_is_lost"),
    ),
    ("of seventeen pictures in a burst ten arrive", Here("seventeen_pictures_in_a_burst")),
    (
        "double answers after a restart",
        Elsewhere(
            "tests/it/durable.rs",
            "a_message_that_comes_again_after_a_restart_is_recognised",
        ),
    ),
    (
        "half of a long answer is sent again after a crash",
        Elsewhere("tests/it/durable.rs", "kill_between_the_parts_of_one_answer"),
    ),
    (
        "the answer of a long task never arrives",
        Elsewhere("tests/it/defects.rs", "expired_webhook_loses_the_answer"),
    ),
    (
        "a card spins for ever",
        Elsewhere("tests/it/cards.rs", "a_card_of_a_killed_process_gets_the_answer_of_the_next"),
    ),
    (
        "a card is cut",
        Elsewhere("tests/it/cards.rs", "an_answer_that_is_too_long_for_a_card_goes_on_in_messages"),
    ),
    (
        "cards meet the rate limit and the answer is lost",
        Elsewhere("tests/it/cards.rs", "a_card_that_meets_the_rate_limit_is_finished_all_the_same"),
    ),
    (
        "a month's calls run out for things that can be left out",
        Elsewhere(
            "src/openapi/governor.rs",
            "what_can_be_left_out_waits_for_nobody_and_is_counted",
        ),
    ),
    (
        "files of the agent do not arrive",
        Elsewhere(
            "tests/it/media.rs",
            "files_and_videos_come_back_as_files_and_a_voice_as_a_voice",
        ),
    ),
    ("a file that is none is said to have been sent", Here("what_is_no_file_is_said_to_be_sent")),
    (
        "only the first of several pictures is seen",
        Elsewhere("tests/it/media.rs", "rich_text_brings_its_words_and_all_its_pictures_in_order"),
    ),
    (
        "a file of the user is refused by the storage for its headers",
        Elsewhere(
            "tests/it/media.rs",
            "a_file_is_fetched_without_headers_that_break_its_signature",
        ),
    ),
    (
        "answers in groups are empty",
        Because(
            "nothing stands between the agent and the chat that could suppress words, and nothing is said that the agent did not say",
        ),
    ),
    ("an answer to nobody counts as sent", Here("an_answer_to_nobody_counts_as_sent")),
    (
        "a push to somebody who is not staff counts as sent",
        Elsewhere("tests/it/push.rs", "each_recipient_has_an_outcome_of_its_own"),
    ),
    (
        "the id of a group is written in lower case",
        Elsewhere("tests/it/push.rs", "a_recipient_whose_case_was_lost_is_found"),
    ),
    (
        "of several robots the wrong one answers",
        Elsewhere(
            "tests/it/accounts.rs",
            "two_accounts_answer_each_for_itself_and_a_third_that_is_refused_stops_neither",
        ),
    ),
    (
        "a run cannot be stopped, since the stop waits behind it",
        Elsewhere("tests/it/commands.rs", "stop_ends_the_answer_and_empties_the_queue"),
    ),
    (
        "a second message is dropped while the first is worked on",
        Elsewhere("tests/it/defects.rs", "messages_beyond_a_hundred_dropped"),
    ),
    (
        "tables do not show",
        Elsewhere("src/markdown/render.rs", "a_table_gets_an_empty_line_and_its_alignment"),
    ),
    (
        "lines run into one another",
        Elsewhere("src/markdown/render.rs", "lines_end_whatever_they_begin_with"),
    ),
    (
        "long answers are refused, or their parts swapped",
        Elsewhere(
            "tests/it/answers.rs",
            "a_long_markdown_answer_arrives_complete_and_in_order_by_either_api",
        ),
    ),
    (
        "code is torn apart where an answer is split",
        Elsewhere("src/markdown/properties.rs", "a_long_code_block_goes_on_in_the_next_part"),
    ),
    (
        "a link is torn apart where an answer is split",
        Elsewhere("src/markdown/properties.rs", "a_link_stays_whole_and_a_long_quote_a_quote"),
    ),
    (
        "a quoted message is invisible",
        Elsewhere(
            "src/gateway/turn.rs",
            "the_agent_gets_the_same_turn_of_every_shape_alone_and_in_a_group",
        ),
    ),
    (
        "a quoted message of the robot is invisible",
        Elsewhere(
            "tests/it/answers.rs",
            "a_quote_of_an_own_message_brings_its_words_after_a_restart_too",
        ),
    ),
    ("a quoted card is invisible", Here("a_quoted_card_is_invisible")),
    ("a quote without words looks like none", Here("a_quote_without_words_looks_like_none")),
    (
        "the allowlist does nothing",
        Elsewhere("tests/it/policy.rs", "the_allowlist_admits_those_on_it_and_nobody_else"),
    ),
    (
        "nobody finds the id to be allowed",
        Elsewhere(
            "tests/it/policy.rs",
            "a_stranger_gets_a_code_and_is_answered_once_it_is_approved",
        ),
    ),
    (
        "HTTP goes through the proxy and the WebSocket does not",
        Elsewhere("tests/it/proxy.rs", "everything_goes_through_the_proxy_by_dingtalks_names"),
    ),
    (
        "one robot that cannot start ends the others",
        Elsewhere(
            "tests/it/accounts.rs",
            "two_accounts_answer_each_for_itself_and_a_third_that_is_refused_stops_neither",
        ),
    ),
    (
        "an idle robot is taken for a dead one",
        Elsewhere(
            "src/stream/session/tests.rs",
            "pongs_keep_a_connection_but_a_frameless_one_is_renewed",
        ),
    ),
    (
        "a wrong configuration is refused without a word that helps",
        Elsewhere(
            "tests/it/accounts.rs",
            "what_is_wrong_in_the_file_is_named_and_no_secret_is_shown",
        ),
    ),
    (
        "no sign that a message was received",
        Elsewhere(
            "tests/it/thinking.rs",
            "a_message_is_marked_from_its_receipt_to_the_end_of_its_turn",
        ),
    ),
    (
        "nobody can be called in an answer",
        Elsewhere("src/gateway/parts.rs", "only_the_last_part_calls_people"),
    ),
    (
        "a voice plays for 0 seconds, and mp3 goes as a voice that does not play",
        Elsewhere("tests/it/answers.rs", "a_voice_and_a_video_arrive_with_their_bytes_or_as_files"),
    ),
];

#[test]
fn every_known_pain_has_its_test_or_a_reason() {
    proven("tests/it/pains.rs", PAINS);
}

#[tokio::test]
async fn seventeen_pictures_in_a_burst() {
    let world = World::new().await;
    let _running = world.start_proven().await;
    for _ in 0..17 {
        world.app.say_picture("user0001", Sample::Png.media()).await.unwrap();
    }
    let sent = world.app.wait_sent(18).await.unwrap();
    assert!(sent[1..].iter().all(|row| row.media.is_some()), "{sent:?}");
}

#[tokio::test]
async fn what_is_no_file_is_said_to_be_sent() {
    let world = World::new().await;
    let path = world.dir.path().to_owned();
    let (kind, name) = (AttachmentKind::File, "all of it.zip".to_owned());
    let folder = Say::File { kind, path, name };
    let gateway = world.start_with(Scripted::new([("files", vec![folder])])).await;
    world.app.say("user0001", "files").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert!(sent[0].media.is_none() && sent[0].text.contains("all of it.zip"), "{sent:?}");
    assert!(sent[0].text.contains("could not be sent: it cannot be read"), "{sent:?}");
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn an_answer_to_nobody_counts_as_sent() {
    let world = World::new().await;
    let running = world.start_proven().await;
    // Somebody who has left since, and whose webhook is gone.
    let mut frame = last_frame(&world);
    let mut data: serde_json::Value =
        serde_json::from_str(frame["data"].as_str().unwrap()).unwrap();
    data["senderStaffId"] = "left0001".into();
    data["conversationId"] = "cidleft0001==".into();
    data["msgId"] = "another".into();
    frame["headers"]["messageId"] = "another".into();
    frame["data"] = data.to_string().into();
    let gone = Action::code(200, "300001", "gone");
    let path = When::Path("/robot/sendBySession".to_owned());
    world.app.fault(Fault::once(path, gone)).unwrap();
    world.app.push_raw(&frame.to_string()).unwrap();
    let failed = running.wait_log("the answer did not arrive", 1).await;
    let told = failed[0].contains("left0001") && failed[0].contains("invalidStaffIdList");
    assert!(told, "{failed:?}");
    assert_eq!(running.lines("the answer did not arrive").len(), 1, "no try will help");
    world.app.say("user0001", "and I?").await.unwrap();
    let sent = world.app.wait_sent(2).await.unwrap();
    assert_eq!((sent.len(), sent[1].text.as_str()), (2, "and I?"));
}

#[tokio::test]
async fn a_quoted_card_is_invisible() {
    let world = World::new().await;
    let (agent, mut asked) = Played::new();
    let cards = CardConfig { interval: Duration::from_millis(100), ..CardConfig::default() };
    let config = GatewayConfig { cards, ..world.gateway_config(agent) };
    let _gateway = Gateway::start(config, world.store()).await.unwrap();
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "a question").await.unwrap();
    let turn = asked.recv().await.unwrap();
    turn.speaker.partial("the".to_owned()).await;
    let shown = || world.app.sent().unwrap().into_iter().find(|row| row.text == "the");
    let card = eventually(|| "the card".to_owned(), shown).await;
    assert_eq!(card.via, "card");
    turn.speaker.say(Say::markdown("the *whole* answer")).await;
    drop(turn);
    let key = card.process_query_key.expect("a card has a key");
    world.app.say_quoting("user0001", "what?", Quote::of_robot(&key)).await.unwrap();
    let quote = asked.recv().await.unwrap().turn.quote.unwrap();
    assert_eq!(quote.text, "the *whole* answer");
}

#[tokio::test]
async fn a_quote_without_words_looks_like_none() {
    let world = World::new().await;
    let (agent, mut asked) = Played::new();
    let _gateway = world.start_with(agent).await;
    for (fixture, words) in [
        ("quote_id_only", "[a message that cannot be read]"),
        ("quote_robot_card", "[a message that cannot be read]"),
        ("quote_unknown_msg_type", "[a message that cannot be read, such as a file]"),
    ] {
        world.app.push_fixture(&format!("stream/callback_bot_{fixture}")).unwrap();
        let asked = asked.recv().await.unwrap();
        assert_eq!(asked.turn.text, "what is this?");
        assert_eq!(asked.turn.quote.unwrap().text, words, "{fixture}");
    }
}
