//! Pushes: which connection gets them, what their answers count for, and when they come again.

use std::{collections::HashSet, time::Duration};

use mock_dingtalk::{DeliveryRules, DeliveryState, Event, Profile};

use crate::{
    client::{CARD, data, text},
    stage::{Stage, Verdict, hold, probes},
};

probes! {
    a_push_goes_to_one_of_two_connections: ["pushed-twice"],
    every_push_has_an_id_of_its_own: ["message-id-repeated"],
    a_topic_without_a_subscription_does_not_come: ["subscription-ignored"],
    nothing_is_pushed_after_a_disconnect: ["routes-to-draining"],
    an_ack_on_another_connection_is_told_apart: ["ack-elsewhere"],
    a_message_that_nobody_took_is_lost: ["keeps-lost"],
    what_was_acked_does_not_come_again: ["redelivers-acked"],
    what_comes_again_is_the_same_message: ["redelivers-anew"],
    an_event_without_an_ack_comes_again: ["event-once"],
    an_event_that_is_answered_with_later_comes_again: ["later-final"],
}

fn redelivering() -> DeliveryRules {
    DeliveryRules { profile: Profile::Observed60s, ..DeliveryRules::default() }
}

async fn a_push_goes_to_one_of_two_connections(stage: Stage) -> Verdict {
    let (mut one, mut two) = (stage.bot().await?, stage.bot().await?);
    for _ in 0..4 {
        stage.app.say("user0001", "hi").await.map_err(text)?;
    }
    let frames =
        [stage.frames(&mut one, "CALLBACK").await?, stage.frames(&mut two, "CALLBACK").await?];
    let count = frames.iter().map(Vec::len).sum::<usize>();
    hold!(count == 4, "4 messages came {count} times");
    Ok(())
}

async fn every_push_has_an_id_of_its_own(stage: Stage) -> Verdict {
    let mut bot = stage.bot().await?;
    for _ in 0..3 {
        stage.app.say("user0001", "hi").await.map_err(text)?;
    }
    let frames = stage.frames(&mut bot, "CALLBACK").await?;
    let ids: HashSet<_> = frames.iter().map(|f| f["headers"]["messageId"].to_string()).collect();
    hold!(ids.len() == 3, "3 frames have the ids {ids:?}");
    Ok(())
}

async fn a_topic_without_a_subscription_does_not_come(stage: Stage) -> Verdict {
    let mut bot = stage.bot_of(&stage.app, CARD).await?;
    stage.app.say("user0001", "hi").await.map_err(text)?;
    let frames = stage.frames(&mut bot, "CALLBACK").await?;
    hold!(frames.is_empty(), "it got {frames:?}");
    Ok(())
}

async fn nothing_is_pushed_after_a_disconnect(stage: Stage) -> Verdict {
    let old = stage.bot().await?;
    stage.app.disconnect(&old.id, "rotation").map_err(text)?;
    let mut new = stage.bot().await?;
    for _ in 0..16 {
        stage.app.say("user0001", "hi").await.map_err(text)?;
    }
    let count = stage.frames(&mut new, "CALLBACK").await?.len();
    hold!(count == 16, "the new connection got {count} of 16 messages");
    Ok(())
}

async fn an_ack_on_another_connection_is_told_apart(stage: Stage) -> Verdict {
    let mut old = stage.bot().await?;
    stage.app.say("user0001", "hi").await.map_err(text)?;
    let frame = stage.frame(&mut old, "CALLBACK").await?;
    stage.app.disconnect(&old.id, "rotation").map_err(text)?;
    stage.bot().await?.ack(&frame).await?;
    let ack = stage.acked(1).await?.ack;
    hold!(ack.as_ref().is_some_and(|ack| ack.on_other_connection), "the answer is {ack:?}");
    let findings = stage.app.findings().map_err(text)?;
    hold!(findings.iter().any(|found| found.rule == "ack-elsewhere"), "found is {findings:?}");
    Ok(())
}

async fn a_message_that_nobody_took_is_lost(stage: Stage) -> Verdict {
    stage.app.say("user0001", "hi").await.map_err(text)?;
    let mut bot = stage.bot().await?;
    let frames = stage.frames(&mut bot, "CALLBACK").await?;
    hold!(frames.is_empty(), "it came after all: {frames:?}");
    let rows = stage.app.deliveries().map_err(text)?;
    hold!(rows[0].state == DeliveryState::Lost, "it is {:?}", rows[0].state);
    Ok(())
}

async fn what_was_acked_does_not_come_again(stage: Stage) -> Verdict {
    stage.app.set_delivery(redelivering()).map_err(text)?;
    let mut bot = stage.bot().await?;
    stage.app.say("user0001", "hi").await.map_err(text)?;
    let frame = stage.frame(&mut bot, "CALLBACK").await?;
    bot.ack(&frame).await?;
    stage.acked(1).await?;
    stage.mock.clock().advance(Duration::from_secs(61));
    let frames = stage.frames(&mut bot, "CALLBACK").await?;
    hold!(frames.is_empty(), "it came again: {frames:?}");
    Ok(())
}

async fn what_comes_again_is_the_same_message(stage: Stage) -> Verdict {
    stage.app.set_delivery(redelivering()).map_err(text)?;
    let mut bot = stage.bot().await?;
    stage.app.say("user0001", "hi").await.map_err(text)?;
    let first = stage.frame(&mut bot, "CALLBACK").await?;
    stage.mock.clock().advance(Duration::from_secs(61));
    let frames = stage.frames(&mut bot, "CALLBACK").await?;
    hold!(frames.len() == 1, "it came {} more times", frames.len());
    let (first, again) = (data(&first), data(&frames[0]));
    hold!(first["msgId"] == again["msgId"], "{} became {}", first["msgId"], again["msgId"]);
    Ok(())
}

async fn an_event_without_an_ack_comes_again(stage: Stage) -> Verdict {
    let mut bot = stage.bot().await?;
    let event = Event::new("user_add_org", serde_json::Map::new());
    stage.app.event(&event).map_err(text)?;
    let first = stage.frame(&mut bot, "EVENT").await?;
    // 3 s for the ack, and 10 s until the next try.
    stage.mock.clock().advance(Duration::from_secs(3));
    stage.mock.clock().advance(Duration::from_secs(10));
    let frames = stage.frames(&mut bot, "EVENT").await?;
    hold!(frames.len() == 1, "it came {} more times", frames.len());
    let id = |frame: &serde_json::Value| frame["headers"]["eventId"].clone();
    hold!(id(&first) == id(&frames[0]), "{} became {}", id(&first), id(&frames[0]));
    Ok(())
}

async fn an_event_that_is_answered_with_later_comes_again(stage: Stage) -> Verdict {
    let mut bot = stage.bot().await?;
    let event = Event::new("user_add_org", serde_json::Map::new());
    stage.app.event(&event).map_err(text)?;
    let first = stage.frame(&mut bot, "EVENT").await?;
    bot.answer(&first, r#"{"status":"LATER"}"#).await?;
    stage.acked(1).await?;
    stage.mock.clock().advance(Duration::from_secs(10));
    let frames = stage.frames(&mut bot, "EVENT").await?;
    hold!(frames.len() == 1, "it came {} more times", frames.len());
    Ok(())
}
