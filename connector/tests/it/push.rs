//! Pushes over the link: each recipient gets the message, or an outcome that says why not.

use std::time::Duration;

use mock_dingtalk::{Action, ErrorBody, Fault, Quote, Sample, When};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::link_client::Link;
use crate::support::{PATIENCE, Running, World, eventually};

const CREATE_CARD: &str = "/v1.0/card/instances/createAndDeliver";
const STREAM_CARD: &str = "/v1.0/card/streaming";
const BATCH_SEND: &str = "/v1.0/robot/oToMessages/batchSend";

async fn start() -> (World, Running, Link) {
    let world = World::new().await;
    let running =
        world.start(&["--agent", "none", "--dm-policy", "open", "--group-policy", "open"]);
    world.app.wait_connections(1).await.expect("the connector connects");
    let link = Link::of(&world);
    (world, running, link)
}

async fn push(link: &Link, body: Value) -> Vec<Value> {
    let (status, answer) = link.post("/v1/messages", &body).await;
    assert_eq!(status, 200, "{answer}");
    answer["results"].as_array().expect("results").clone()
}

#[tokio::test]
async fn each_recipient_has_an_outcome_of_its_own() {
    let (world, _running, link) = start().await;
    let group = world.app.say_in_group("user0001", "Team", "hi").await.unwrap().conversation_id;
    let mut limits = world.app.limits().unwrap();
    limits.flow_controlled = vec!["user0003".to_owned()];
    world.app.set_limits(limits).unwrap();
    let to = json!([
        "user0001",
        "ddingtalk:user:user0002",
        "user:Nobody",
        "user0003",
        format!("chat:{group}"),
        "chat:cidNone==",
        "ddingtalk:user0001",
    ]);
    let results =
        push(&link, json!({ "to": to, "markdown": { "title": "News", "text": "**new**" } })).await;
    let states: Vec<_> = results
        .iter()
        .map(|row| (row["to"].as_str().unwrap().to_owned(), row["status"].as_str().unwrap()))
        .collect();
    let user = |id: &str| format!("user:{id}");
    assert_eq!(
        states,
        [
            (user("user0001"), "delivered"),
            (user("user0002"), "delivered"),
            (user("Nobody"), "invalid"),
            (user("user0003"), "flowControlled"),
            (format!("chat:{group}"), "delivered"),
            ("chat:cidNone==".to_owned(), "failed"),
        ],
        "{results:?}"
    );
    assert_eq!(results[0]["processQueryKey"], results[1]["processQueryKey"]);
    assert!(results[4]["processQueryKey"].is_string());
    assert_eq!(results[5]["mayHaveArrived"], false);
    let sent = world.app.wait_sent(3).await.unwrap();
    let mut got: Vec<_> = sent.iter().map(|row| (row.to.as_str(), row.text.as_str())).collect();
    got.sort_unstable();
    let mut expected =
        vec![(group.as_str(), "**new**"), ("user0001", "**new**"), ("user0002", "**new**")];
    expected.sort_unstable();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn many_people_are_reached_twenty_at_a_time() {
    let (world, _running, link) = start().await;
    let people: Vec<_> = (0..45).map(|n| format!("Person{n:02}")).collect();
    for person in &people {
        world.app.say(person, "here").await.unwrap();
    }
    let results = push(&link, json!({ "to": people, "text": "all of you" })).await;
    assert!(results.iter().all(|row| row["status"] == "delivered"), "{results:?}");
    let mut keys: Vec<_> = results.iter().map(|row| row["processQueryKey"].to_string()).collect();
    keys.dedup();
    assert_eq!(keys.len(), 3);
    let sent = world.app.wait_sent(45).await.unwrap();
    let to: Vec<_> = sent.iter().map(|row| row.to.clone()).collect();
    assert_eq!(to, people);
}

#[tokio::test]
async fn a_picture_and_a_file_are_uploaded_once_for_all() {
    let (world, _running, link) = start().await;
    let kept = |sample: Sample| {
        let media = sample.media();
        let path = world.dir.path().join(&media.name);
        std::fs::write(&path, &media.bytes).unwrap();
        (path, media)
    };
    let (path, picture) = kept(Sample::Png);
    let to = ["user0001", "user0002"];
    push(&link, json!({ "to": to, "image": { "path": path } })).await;
    let (path, file) = kept(Sample::Txt);
    push(&link, json!({ "to": to, "file": { "path": path, "name": "report.txt" } })).await;
    let sent = world.app.wait_sent(4).await.unwrap();
    for (row, (msgtype, media)) in sent.iter().zip([
        ("image", &picture),
        ("image", &picture),
        ("file", &file),
        ("file", &file),
    ]) {
        assert_eq!(row.msgtype, msgtype);
        let id = row.media.as_ref().expect("a file")["mediaId"].as_str().unwrap().to_owned();
        assert_eq!(world.app.inbound_media(&id).unwrap().expect("it is kept").bytes, media.bytes);
    }
    let uploads = world.app.journal().unwrap();
    let uploads = uploads.iter().filter(|entry| entry.text.starts_with("POST /media/upload"));
    assert_eq!(uploads.count(), 2);
}

#[tokio::test]
async fn a_key_is_sent_once_and_a_loop_is_stopped() {
    let (world, running, link) = start().await;
    let hello = json!({ "to": "user0001", "text": "hello", "key": "k1" });
    let first = push(&link, hello.clone()).await;
    assert_eq!(push(&link, hello).await, first);
    let other = json!({ "to": "user0001", "text": "other", "key": "k1" });
    let (status, answer) = link.post("/v1/messages", &other).await;
    assert_eq!(status, 409, "{answer}");
    for n in 1..20 {
        let results = push(&link, json!({ "to": "user0001", "text": n.to_string() })).await;
        assert_eq!(results[0]["status"], "delivered");
    }
    let results = push(&link, json!({ "to": ["user0001", "user0002"], "text": "again" })).await;
    assert_eq!(
        (&results[0]["to"], &results[0]["status"]),
        (&json!("user:user0001"), &json!("limited"))
    );
    assert!((1..=60_000).contains(&results[0]["retryAfterMs"].as_u64().unwrap()));
    assert_eq!(results[1]["status"], "delivered", "others are not in the way");
    let sent = world.app.wait_sent(21).await.unwrap();
    assert_eq!(sent.iter().filter(|row| row.to == "user0001").count(), 20);
    assert_eq!(running.lines("does an agent loop?").len(), 1);
}

#[tokio::test]
async fn what_dingtalk_cannot_take_for_now_is_tried_again_and_a_refusal_is_reported() {
    let (world, running, link) = start().await;
    let path = || When::Path(BATCH_SEND.to_owned());
    world.app.fault(Fault::once(path(), Action::Status(503, ErrorBody::Html))).unwrap();
    let results = push(&link, json!({ "to": "user0001", "text": "once more" })).await;
    assert_eq!(results[0]["status"], "delivered");
    assert_eq!(running.lines("a send that may have arrived is repeated").len(), 1);
    let refused = Action::code(400, "invalidParameter.robotCode", "no robot");
    world.app.fault(Fault::once(path(), refused)).unwrap();
    let results = push(&link, json!({ "to": ["user0001", "user0002"], "text": "no" })).await;
    for row in &results {
        assert_eq!((&row["status"], &row["mayHaveArrived"]), (&json!("failed"), &json!(false)));
        assert!(row["reason"].as_str().unwrap().contains("invalidParameter.robotCode"), "{row}");
    }
}

#[tokio::test]
async fn a_push_one_try_of_which_may_have_arrived_says_so_whatever_came_after_it() {
    let (world, _running, link) = start().await;
    let path = || When::Path(BATCH_SEND.to_owned());
    let qps = Action::code(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "slow down");
    world.app.fault(Fault::once(path(), Action::CutBody)).unwrap();
    world.app.fault(Fault::first(3, path(), qps)).unwrap();
    let results = push(&link, json!({ "to": "user0001", "text": "there already" })).await;
    let outcome = (&results[0]["status"], &results[0]["mayHaveArrived"]);
    assert_eq!(outcome, (&json!("failed"), &json!(true)), "{results:?}");
    assert_eq!(world.app.sent().unwrap().len(), 1);
}

#[tokio::test]
async fn a_card_is_shown_finished_to_people_and_groups() {
    let (world, _running, link) = start().await;
    let group = world.app.say_in_group("user0001", "Team", "hi").await.unwrap().conversation_id;
    // A call that may have arrived is repeated without a second card.
    let path = When::Path(CREATE_CARD.to_owned());
    world.app.fault(Fault::once(path, Action::Status(503, ErrorBody::Html))).unwrap();
    let to = json!(["user0001", format!("chat:{group}"), "chat:cidNone=="]);
    let results = push(&link, json!({ "to": to, "card": "**it runs**" })).await;
    let states: Vec<_> = results.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["delivered", "delivered", "failed"], "{results:?}");
    assert_ne!(results[0]["outTrackId"], results[1]["outTrackId"]);
    let sent = world.app.wait_sent(2).await.unwrap();
    let shown: Vec<_> = sent
        .iter()
        .map(|row| (row.via, row.to.as_str(), row.text.as_str(), row.finished))
        .collect();
    let card = |to| ("card", to, "**it runs**", true);
    assert_eq!(shown, [card("user0001"), card(&group)]);
}

#[tokio::test]
async fn where_cards_are_refused_it_is_markdown_and_one_that_stays_unfinished_is_told() {
    let (world, _running, link) = start().await;
    let path = When::Path(STREAM_CARD.to_owned());
    world.app.fault(Fault::always(path, Action::code(400, "invalid", "no"))).unwrap();
    let results = push(&link, json!({ "to": "user0001", "card": "**one**" })).await;
    assert_eq!(results[0]["status"], "delivered", "the other way: {results:?}");
    let path = When::Path("/v1.0/card/instances".to_owned());
    world.app.fault(Fault::always(path, Action::code(400, "invalid", "no"))).unwrap();
    let results = push(&link, json!({ "to": "user0001", "card": "**two**" })).await;
    let outcome = (&results[0]["status"], &results[0]["mayHaveArrived"]);
    assert_eq!(outcome, (&json!("failed"), &json!(true)));
    let denied = Action::code(403, "Forbidden.AccessDenied.AccessTokenPermissionDenied", "no");
    world.app.fault(Fault::always(When::Path(CREATE_CARD.to_owned()), denied)).unwrap();
    let results = push(&link, json!({ "to": ["user0001", "user0002"], "card": "**three**" })).await;
    assert!(results.iter().all(|row| row["status"] == "delivered"), "{results:?}");
    assert_eq!(results[0]["processQueryKey"], results[1]["processQueryKey"], "one message");
    let sent = world.app.wait_sent(3).await.unwrap();
    let words: Vec<_> =
        sent.iter().filter(|row| row.via != "card").map(|row| row.text.as_str()).collect();
    assert_eq!(words, ["**three**", "**three**"]);
}

#[tokio::test]
async fn a_long_text_goes_in_parts_in_order_and_what_arrived_is_told() {
    let (world, _running, link) = start().await;
    let group = world.app.say_in_group("user0001", "Team", "hi").await.unwrap().conversation_id;
    let lines: Vec<_> = (0..4_000).map(|n| format!("* line {n}")).collect();
    let body = json!({ "to": ["user0001", format!("chat:{group}")], "markdown": lines.join("\n") });
    let results = push(&link, body).await;
    let count = usize::try_from(results[0]["parts"]["of"].as_u64().unwrap()).unwrap();
    assert!((3..6).contains(&count), "{count}");
    let sent = world.app.wait_sent(count * 2).await.unwrap();
    for (row, to) in results.iter().zip(["user0001", group.as_str()]) {
        assert_eq!(
            (&row["status"], &row["parts"]["arrived"]),
            (&json!("delivered"), &json!(count))
        );
        assert_eq!(row["parts"]["processQueryKeys"].as_array().unwrap().len(), count);
        let got = sent.iter().filter(|row| row.to == to);
        let got: Vec<_> = got.flat_map(|row| row.text.lines().map(str::to_owned)).collect();
        assert_eq!(got.iter().filter(|line| line.starts_with("* line")).count(), lines.len());
        assert!(got.iter().filter(|line| line.starts_with("* line")).eq(&lines), "order");
    }
    // The second part fails: what is behind it does not go out.
    let nth = When::Path(BATCH_SEND.to_owned());
    let (status, answer) = {
        let refused = Action::code(400, "invalidParameter", "no");
        world.app.fault(Fault::always(nth, refused)).unwrap();
        link.post("/v1/messages", &json!({ "to": "user0002", "text": "x".repeat(40_000) })).await
    };
    assert_eq!(status, 200);
    let row = &answer["results"][0];
    assert_eq!((&row["status"], &row["parts"]["arrived"]), (&json!("failed"), &json!(0)), "{row}");
    assert_eq!(world.app.sent().unwrap().len(), count * 2);
}

#[tokio::test]
async fn a_quote_of_a_push_brings_its_words_to_those_who_got_it() {
    let world = World::new().await;
    let _running = world.start(&["--agent", "attach", "--dm-policy", "open"]);
    world.app.wait_connections(1).await.unwrap();
    let link = Link::of(&world);
    let mut turns = link.attach().await;
    let results = push(&link, json!({ "to": ["user0001", "user0002"], "text": "the plan" })).await;
    let key = results[0]["processQueryKey"].as_str().unwrap();
    for (user, words) in [("user0002", "the plan"), ("user0003", "[a message that cannot be read]")]
    {
        world.app.say_quoting(user, "what?", Quote::of_robot(key)).await.unwrap();
        let turn = turns.turn().await;
        assert_eq!(turn["quote"]["text"], words, "{turn}");
    }
}

#[tokio::test]
async fn a_key_is_known_after_a_kill() {
    let (world, mut running, link) = start().await;
    let hello = json!({ "to": "user0001", "text": "hello", "key": "k" });
    let first = push(&link, hello.clone()).await;
    running.kill_now();
    world.wait_disconnected().await;
    let _running = world.start(&["--agent", "none", "--dm-policy", "open"]);
    world.app.wait_connections(1).await.unwrap();
    assert_eq!(push(&link, hello).await, first);
    assert_eq!(world.app.sent().unwrap().len(), 1);
}

/// A caller that asks again while the first try goes on, or after a crash cut it off, does not send it twice.
#[tokio::test]
async fn a_key_whose_message_is_under_way_or_was_cut_off_is_not_sent_again() {
    let (world, mut running, link) = start().await;
    // On the mock's clock, which stands still.
    world.mock.clock().pause();
    let slowly = |key: &'static str, hits: usize| {
        let path = When::Path(BATCH_SEND.to_owned());
        world.app.fault(Fault::once(path, Action::Delay(Duration::from_secs(60)))).unwrap();
        let message = json!({ "to": "user0001", "text": key, "key": key });
        let (link, body) = (link.clone(), message.to_string());
        let caller =
            tokio::spawn(async move { link.post_raw("/v1/messages", body.as_bytes()).await });
        let world = &world;
        async move {
            let hit = || {
                let rows = world.app.faults().unwrap();
                (rows.iter().filter(|row| row.hits == 1).count() == hits).then_some(())
            };
            eventually(|| format!("{hits} calls that take long"), hit).await;
            (message, caller)
        }
    };
    let (message, caller) = slowly("first", 1).await;
    let again = link.post("/v1/messages", &message).await;
    assert_eq!(again.0, 409, "{again:?}");
    assert!(again.1["error"].as_str().unwrap().contains("is being sent"), "{again:?}");
    // Whoever asked leaves, and the message goes on.
    caller.abort();
    world.mock.clock().advance(Duration::from_secs(61));
    world.app.wait_sent(1).await.unwrap();
    let known = async {
        loop {
            let (status, answer) = link.post("/v1/messages", &message).await;
            if status != 409 {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, known).await.expect("it is known in time");
    assert_eq!(answer["results"][0]["status"], "delivered", "{answer}");
    assert_eq!(world.app.sent().unwrap().len(), 1);

    let (message, caller) = slowly("second", 2).await;
    running.kill_now();
    assert_eq!(caller.await.unwrap(), None, "nobody can say what became of it");
    let _running = world.start(&["--agent", "none", "--dm-policy", "open"]);
    let again = link.post("/v1/messages", &message).await;
    assert_eq!(again.0, 409, "{again:?}");
    assert!(again.1["error"].as_str().unwrap().contains("a restart interrupted"), "{again:?}");
}

#[tokio::test]
async fn of_many_who_send_by_one_key_at_once_one_sends() {
    let (world, _running, link) = start().await;
    let message = json!({ "to": "user0001", "text": "once", "key": "k" }).to_string();
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let (link, message) = (link.clone(), message.clone());
        callers.spawn(async move { link.post_raw("/v1/messages", message.as_bytes()).await });
    }
    for answer in callers.join_all().await {
        let (status, answer) = answer.expect("an answer");
        assert!([200, 409].contains(&status), "{answer}");
    }
    let message = serde_json::from_str(&message).unwrap();
    assert_eq!(push(&link, message).await[0]["status"], "delivered");
    assert_eq!(world.app.sent().unwrap().len(), 1);
}

#[tokio::test]
async fn a_recipient_whose_case_was_lost_is_found() {
    let world = World::new().await;
    let _running = world.start_proven().await;
    let link = Link::of(&world);
    let said = world.app.say_in_group("AnnaB", "Team", "hello").await.unwrap();
    world.app.wait_sent(2).await.unwrap();
    let group = &said.conversation_id;
    assert_ne!(group, &group.to_uppercase());
    let to = json!([format!("chat:{}", group.to_uppercase()), "user:annab"]);
    let results = push(&link, json!({ "to": to, "text": "news" })).await;
    assert_eq!(results[0]["to"], "user:AnnaB", "{results:?}");
    assert_eq!(results[1]["to"], format!("chat:{group}"), "{results:?}");
    let sent = world.app.wait_sent(4).await.unwrap();
    assert_eq!((sent[2].to.as_str(), sent[3].to.as_str()), ("AnnaB", group.as_str()));
}
