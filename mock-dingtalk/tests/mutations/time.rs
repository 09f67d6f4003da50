//! Lifetimes, pings and the clock.

use std::time::Duration;

use serde_json::json;

use crate::{
    client::{data, text},
    stage::{Stage, Verdict, hold, probes},
};

probes! {
    a_ticket_ends_after_ninety_seconds: ["ticket-endless"],
    a_token_ends_after_two_hours: ["token-endless"],
    a_session_webhook_ends_after_ninety_minutes: ["webhook-endless"],
    a_message_is_recalled_within_a_day_only: ["recall-endless"],
    a_ping_comes_every_thirty_seconds: ["ping-missing"],
    tcp_ends_ten_seconds_after_a_disconnect: ["grace-endless"],
    a_jump_of_the_wall_ends_nothing: ["jump-moves-lifetimes"],
    each_app_has_a_clock_of_its_own: ["clock-shared"],
}

async fn a_ticket_ends_after_ninety_seconds(stage: Stage) -> Verdict {
    let old = stage.ticket().await?;
    stage.mock.clock().advance(Duration::from_secs(89));
    let young = stage.ticket().await?;
    stage.mock.clock().advance(Duration::from_secs(1));
    hold!(tokio_tungstenite::connect_async(&young).await.is_ok(), "a young ticket opens nothing");
    hold!(tokio_tungstenite::connect_async(&old).await.is_err(), "an old ticket opens");
    Ok(())
}

async fn a_token_ends_after_two_hours(stage: Stage) -> Verdict {
    let token = stage.token().await?;
    stage.mock.clock().advance(Duration::from_secs(7_199));
    let (status, answer) = stage.batch_send(&token).await?;
    hold!(status == 200, "before its end: {status} {answer}");
    stage.mock.clock().advance(Duration::from_secs(1));
    let (status, answer) = stage.batch_send(&token).await?;
    hold!((status, &answer["code"]) == (400, &json!("InvalidAuthentication")), "{status} {answer}");
    Ok(())
}

async fn a_session_webhook_ends_after_ninety_minutes(stage: Stage) -> Verdict {
    let mut bot = stage.bot().await?;
    stage.app.say("user0001", "hi").await.map_err(text)?;
    let said = data(&stage.frame(&mut bot, "CALLBACK").await?);
    let webhook = said["sessionWebhook"].as_str().unwrap_or_default();
    let path = webhook.strip_prefix(stage.mock.url()).unwrap_or_default();
    let body = json!({"msgtype": "text", "text": {"content": "hi"}});
    let (_, answer) = stage.post(path, None, &body).await?;
    hold!(answer["errcode"] == 0, "while it is young: {answer}");
    stage.mock.clock().advance(Duration::from_mins(90));
    let (_, answer) = stage.post(path, None, &body).await?;
    hold!(answer["errcode"] == 300_001, "after its end: {answer}");
    let sent = stage.app.sent().map_err(text)?.len();
    hold!(sent == 1, "{sent} answers arrived");
    Ok(())
}

async fn a_message_is_recalled_within_a_day_only(stage: Stage) -> Verdict {
    let token = stage.token().await?;
    let (_, one) = stage.batch_send(&token).await?;
    let (_, two) = stage.batch_send(&token).await?;
    let recall = |sent: &serde_json::Value| {
        let keys = [sent["processQueryKey"].clone()];
        json!({"robotCode": stage.app.robot_code(), "processQueryKeys": keys})
    };
    let path = "/v1.0/robot/otoMessages/batchRecall";
    let (status, answer) = stage.post(path, Some(&token), &recall(&one)).await?;
    hold!(status == 200, "at once: {status} {answer}");
    stage.mock.clock().advance(Duration::from_hours(24));
    let token = stage.token().await?;
    let (status, answer) = stage.post(path, Some(&token), &recall(&two)).await?;
    hold!(status == 400, "after a day: {status} {answer}");
    Ok(())
}

async fn a_ping_comes_every_thirty_seconds(stage: Stage) -> Verdict {
    let mut bot = stage.bot().await?;
    for _ in 0..2 {
        stage.mock.clock().advance(Duration::from_secs(30));
        let frames = stage.frames(&mut bot, "SYSTEM").await?;
        hold!(frames.len() == 1, "{} SYSTEM frames came in 30 s", frames.len());
        hold!(frames[0]["headers"]["topic"] == "ping", "it is {}", frames[0]);
        hold!(data(&frames[0])["opaque"].is_string(), "its data is {}", frames[0]["data"]);
    }
    Ok(())
}

async fn tcp_ends_ten_seconds_after_a_disconnect(stage: Stage) -> Verdict {
    let mut bot = stage.bot().await?;
    stage.app.disconnect(&bot.id, "rotation").map_err(text)?;
    stage.frame(&mut bot, "SYSTEM").await?;
    stage.mock.clock().advance(Duration::from_secs(10));
    let next = stage.next(&mut bot).await?;
    hold!(next.is_none(), "instead of the end came {next:?}");
    Ok(())
}

async fn a_jump_of_the_wall_ends_nothing(stage: Stage) -> Verdict {
    let token = stage.token().await?;
    for hours in [3, -6] {
        stage.app.clock().jump(hours * 3_600_000);
        let (status, answer) = stage.batch_send(&token).await?;
        hold!(status == 200, "after a jump of {hours} h: {status} {answer}");
    }
    Ok(())
}

async fn each_app_has_a_clock_of_its_own(stage: Stage) -> Verdict {
    let token = stage.token().await?;
    let other = stage.mock.app();
    let foreign = stage.token_of(&other).await?;
    other.clock().advance(Duration::from_hours(3));
    let (status, answer) = stage.batch_send(&token).await?;
    hold!(status == 200, "another app's clock ended the token: {status} {answer}");
    let again = stage.token_of(&other).await?;
    hold!(foreign != again, "its own clock did not");
    Ok(())
}
