//! One chat cannot take the room of all others.

use std::time::Duration;

use dingtalk_connector::agent::Say;
use dingtalk_connector::gateway::access::AccessPolicy;
use dingtalk_connector::gateway::access::rate::Rate;
use dingtalk_connector::gateway::{Gateway, GatewayConfig};
use mock_dingtalk::{AppOptions, DeliveryRules, Profile};

use crate::played::Played;
use crate::support::{PATIENCE, World, fixed};

/// Messages of one chat that may wait, as the README has it.
const SHARE: usize = 500;
const MORE: usize = 3;

#[tokio::test]
async fn a_chat_that_is_full_holds_up_no_other_and_what_it_had_no_room_for_comes_again() {
    let rules = DeliveryRules { profile: Profile::Observed60s, ..DeliveryRules::default() };
    let world = World::with(AppOptions::default().delivery(rules)).await;
    let (agent, mut asked) = Played::new();
    // As many as are said, the word that stops them included: what comes again counts once.
    let messages = u32::try_from(1 + SHARE + MORE + 1).unwrap();
    let rate = Some(Rate { messages, per: Duration::from_secs(24 * 3_600) });
    let access = fixed(AccessPolicy { rate, ..AccessPolicy::open() });
    let config = GatewayConfig { access, ..world.gateway_config(agent) };
    let gateway = Gateway::start(config, world.store()).await.unwrap();
    let app = &world.app;
    app.wait_connections(1).await.unwrap();
    // One is answered, and the others wait for it.
    let mut said = Vec::new();
    for n in 0..=SHARE + MORE {
        said.push(app.say("user0001", &format!("message {n}")).await.unwrap().msg_id);
    }
    let first = asked.recv().await.unwrap();
    assert_eq!(first.turn.text, "message 0");
    app.say("user0002", "me too").await.unwrap();
    let other = asked.recv().await.unwrap();
    assert_eq!(other.turn.text, "me too");
    other.speaker.say(Say::text("of course")).await;
    drop(other);
    let texts: Vec<_> = app.wait_sent(2).await.unwrap().into_iter().map(|row| row.text).collect();
    assert!(texts.iter().any(|text| text == "of course"), "{texts:?}");
    let told = texts.iter().filter(|text| text.contains("Too many messages wait in this chat"));
    assert_eq!(told.count(), 1, "{texts:?}");
    app.wait_acked(1 + SHARE + 1).await.unwrap();
    let unacked: Vec<_> =
        app.deliveries().unwrap().into_iter().filter(|row| row.ack.is_none()).collect();
    let unacked: Vec<_> = unacked.into_iter().filter_map(|row| row.msg_id).collect();
    assert_eq!(unacked, said[1 + SHARE..], "they were not kept");
    // A full chat is stopped like any other.
    app.say("user0001", "/stop").await.unwrap();
    let sent = app.wait_sent(3).await.unwrap();
    let stopped = format!("Stopped ({} messages)", 1 + SHARE);
    assert!(sent[2].text.contains(&stopped), "{sent:?}");
    world.mock.clock().advance(Duration::from_secs(61));
    for n in 1 + SHARE..=SHARE + MORE {
        let again = tokio::time::timeout(PATIENCE, asked.recv()).await;
        let again = again.expect("it is worked on").unwrap();
        assert_eq!(again.turn.text, format!("message {n}"));
    }
    app.wait_acked(1 + SHARE + 1 + 1 + MORE).await.unwrap();
    assert_eq!(gateway.stop().await, 0);
}
