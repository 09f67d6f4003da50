//! Every message answered, once.

use std::collections::BTreeMap;
use std::time::Duration;

use mock_dingtalk::{Action, ErrorBody, Fault, SaidState, When};

use crate::support::{World, eventually};

#[tokio::test]
async fn text_comes_back_verbatim_in_the_chat_it_came_from() {
    let world = World::new().await;
    let _running = world.start_open();
    world.app.wait_connections(1).await.unwrap();
    let direct = world.app.say("user0001", "# not *markdown* <b>\n第二行 😀").await.unwrap();
    let group = world.app.say_in_group("user0002", "Team", "hi all").await.unwrap();
    let sent = world.app.wait_sent(2).await.unwrap();
    let text_in = |conversation: &str| {
        let row = sent.iter().find(|row| row.conversation_id == conversation).unwrap();
        (row.text.clone(), row.msgtype.clone(), row.via)
    };
    let text = "text".to_owned();
    assert_eq!(
        text_in(&direct.conversation_id),
        ("# not *markdown* <b>\n第二行 😀".to_owned(), text.clone(), "sessionWebhook")
    );
    assert_eq!(text_in(&group.conversation_id), ("hi all".to_owned(), text, "sessionWebhook"));
}

#[tokio::test]
async fn an_answer_survives_failures_that_pass() {
    let world = World::new().await;
    let _running = world.start_open();
    world.app.wait_connections(1).await.unwrap();
    let fault = Action::Status(503, ErrorBody::Html);
    world.app.fault(Fault::first(2, webhook(), fault)).unwrap();
    world.app.say("user0001", "persist").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!((sent[0].text.as_str(), sent[0].via), ("persist", "sessionWebhook"));
}

#[tokio::test]
async fn a_person_is_answered_by_the_robot_api_when_the_webhook_is_gone() {
    let world = World::new().await;
    let _running = world.start_open();
    world.app.wait_connections(1).await.unwrap();
    for (n, text) in ["too late", "with an expired token"].into_iter().enumerate() {
        // One failure that may pass, and before the next try the mock's clock leaves the
        // connector's behind: webhook and token are dead before they look so.
        world.app.fault(Fault::once(webhook(), Action::Status(503, ErrorBody::Empty))).unwrap();
        world.app.say("user0001", text).await.unwrap();
        let hits = || world.app.faults().unwrap().iter().map(|row| row.hits).sum::<u64>();
        eventually(|| "the failed try".to_owned(), || (hits() > n as u64).then_some(())).await;
        world.mock.clock().advance(Duration::from_secs(3 * 3_600));
        let sent = world.app.wait_sent(n + 1).await.unwrap();
        assert_eq!((sent[n].text.as_str(), sent[n].via), (text, "batchSend"));
        assert_eq!(sent.len(), n + 1);
    }
}

fn webhook() -> When {
    When::Path("/robot/sendBySession".to_owned())
}

#[tokio::test]
async fn a_thousand_messages_over_three_disconnects_are_acked_and_answered_once_each() {
    let world = World::new().await;
    let _running = world.start_open();
    world.app.wait_connections(1).await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    let mut unconnected = 0;
    for n in 0..1_000 {
        pace.tick().await;
        if [250, 500, 750].contains(&n) {
            world.app.disconnect("all", "persistent connection is timeout").unwrap();
        }
        let user = format!("user{:04}", 1 + n % 40);
        // Between the announcement and the next connection nobody takes messages, and the gateway
        // keeps none: that is DingTalk's gap, not the connector's. The person says it again.
        while world.app.say(&user, &format!("message {n}")).await.unwrap().state
            != SaidState::Pushed
        {
            unconnected += 1;
            world.app.wait_connections(1).await.unwrap();
        }
    }
    let sent = world.app.wait_sent(1_000).await.unwrap();
    world.app.wait_acked(1_000).await.unwrap();
    println!(
        "1000 messages in 5 s over 3 disconnects; {unconnected} said while nobody was connected"
    );

    let mut answers = BTreeMap::new();
    for row in &sent {
        *answers.entry(row.text.clone()).or_insert(0) += 1;
    }
    assert_eq!(answers.len(), 1_000, "each is answered");
    assert!(answers.values().all(|times| *times == 1), "and none twice: {answers:?}");
    let pushed: Vec<_> = world
        .app
        .deliveries()
        .unwrap()
        .into_iter()
        .filter(|row| row.state != mock_dingtalk::DeliveryState::Lost)
        .collect();
    assert_eq!(pushed.len(), 1_000);
    for row in pushed {
        let ack = row.ack.unwrap_or_else(|| panic!("{} is not acked", row.seq));
        assert_eq!(
            (row.acks, ack.code, ack.on_other_connection),
            (1, Some(200), false),
            "{}",
            row.seq
        );
    }
    let connections = world.app.connections().unwrap();
    assert_eq!(connections.len(), 4, "one at the start and one after each disconnect");
}

#[tokio::test]
async fn answers_of_one_conversation_keep_their_order() {
    let world = World::new().await;
    let _running = world.start_open();
    world.app.wait_connections(1).await.unwrap();
    for n in 0..300 {
        world.app.say(&format!("user{:04}", n % 3), &n.to_string()).await.unwrap();
    }
    let sent = world.app.wait_sent(300).await.unwrap();
    let mut last = BTreeMap::new();
    for row in sent {
        let n: usize = row.text.parse().unwrap();
        if let Some(before) = last.insert(row.conversation_id.clone(), n) {
            assert!(before < n, "{n} was answered after {before}");
        }
    }
}
