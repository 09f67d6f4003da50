//! Cards and files.

use std::time::Duration;

use mock_dingtalk::{CardPress, Media};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{CARD, text},
    stage::{Stage, Verdict, hold, probes},
};

probes! {
    a_finished_card_stays_as_it_is: ["card-after-end"],
    an_answer_to_a_press_counts_for_two_seconds: ["press-late"],
    files_come_back_byte_for_byte: ["media-altered"],
    the_address_of_a_file_takes_no_content_type: ["file-with-type"],
    the_address_of_a_file_ends_after_an_hour: ["file-address-endless"],
}

/// A card in the chat with a person.
async fn card(stage: &Stage, token: &str) -> Verdict {
    let body = json!({
        "cardTemplateId": "t.schema", "outTrackId": "card",
        "cardData": {"cardParamMap": {"content": ""}}, "callbackType": "STREAM",
        "openSpaceId": "dtv1.card//IM_ROBOT.user0001",
        "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT"},
    });
    let path = "/v1.0/card/instances/createAndDeliver";
    let (status, answer) = stage.post(path, Some(token), &body).await?;
    hold!(status == 200, "no card: {status} {answer}");
    Ok(())
}

async fn stream(stage: &Stage, token: &str, guid: &str, content: &str, ends: bool) -> Verdict {
    let body = json!({
        "outTrackId": "card", "guid": guid, "key": "content", "content": content,
        "isFull": true, "isFinalize": ends, "isError": false,
    });
    let path = "/v1.0/card/streaming";
    let (status, answer) = stage.call(Method::PUT, path, Some(token), &body).await?;
    hold!(status == 200, "{content:?} is not taken: {status} {answer}");
    Ok(())
}

async fn a_finished_card_stays_as_it_is(stage: Stage) -> Verdict {
    let token = stage.token().await?;
    card(&stage, &token).await?;
    stream(&stage, &token, "1", "half", false).await?;
    stream(&stage, &token, "2", "whole", true).await?;
    stream(&stage, &token, "3", "more", false).await?;
    let rows = stage.app.sent().map_err(text)?;
    let shown: Vec<_> = rows.iter().map(|row| (row.text.as_str(), row.finished)).collect();
    hold!(shown == [("whole", true)], "the card shows {shown:?}");
    Ok(())
}

async fn an_answer_to_a_press_counts_for_two_seconds(stage: Stage) -> Verdict {
    let token = stage.token().await?;
    card(&stage, &token).await?;
    let mut bot = stage.bot_of(&stage.app, CARD).await?;
    for (after, late) in [(2_000, false), (2_001, true)] {
        let press = CardPress::new("card", "user0001", "ok");
        stage.app.press(&press).await.map_err(text)?;
        let frame = stage.frame(&mut bot, "CALLBACK").await?;
        stage.mock.clock().advance(Duration::from_millis(after));
        bot.ack(&frame).await?;
        let ack = stage.acked(if late { 2 } else { 1 }).await?.ack;
        hold!(ack.as_ref().is_some_and(|ack| ack.late == late), "after {after} ms: {ack:?}");
    }
    Ok(())
}

/// `downloadUrl` of a file that a person sent.
async fn address(stage: &Stage, bytes: &'static [u8]) -> Result<String, String> {
    let file = stage.app.add_file(Media::new("a.pdf", "application/pdf", bytes)).map_err(text)?;
    let body = json!({
        "robotCode": stage.app.robot_code(), "downloadCode": file.download_code,
    });
    let token = stage.token().await?;
    let path = "/v1.0/robot/messageFiles/download";
    let (_, answer) = stage.post(path, Some(&token), &body).await?;
    let url = answer["downloadUrl"].as_str().map(str::to_owned);
    url.ok_or_else(|| format!("no downloadUrl, but {answer}"))
}

async fn files_come_back_byte_for_byte(stage: Stage) -> Verdict {
    let bytes: &[u8] = b"\x00%PDF\r\n\xff";
    let url = address(&stage, bytes).await?;
    let fetched = stage.get(&url).await?.bytes().await.map_err(text)?;
    hold!(fetched == bytes, "a person's file became {fetched:?}");
    let token = stage.token().await?;
    let part = reqwest::multipart::Part::bytes(bytes).file_name("a.pdf");
    let form = reqwest::multipart::Form::new().part("media", part);
    let base = stage.mock.url();
    let url = format!("{base}/media/upload?access_token={token}&type=file");
    let uploaded = stage.http.post(url).multipart(form).send().await.map_err(text)?;
    let uploaded: Value = uploaded.json().await.map_err(text)?;
    let id = uploaded["media_id"].as_str().ok_or_else(|| format!("no upload: {uploaded}"))?;
    let url = format!("{base}/media/downloadFile?access_token={token}&media_id={id}");
    let fetched = stage.get(&url).await?.bytes().await.map_err(text)?;
    hold!(fetched == bytes, "an upload became {fetched:?}");
    Ok(())
}

async fn the_address_of_a_file_takes_no_content_type(stage: Stage) -> Verdict {
    let url = address(&stage, b"x").await?;
    let bare = stage.get(&url).await?.status().as_u16();
    hold!(bare == 200, "without: {bare}");
    let typed = stage.http.get(&url).header("content-type", "application/json");
    let typed = typed.send().await.map_err(text)?.status().as_u16();
    hold!(typed == 403, "with: {typed}");
    Ok(())
}

async fn the_address_of_a_file_ends_after_an_hour(stage: Stage) -> Verdict {
    let url = address(&stage, b"x").await?;
    stage.mock.clock().advance(Duration::from_secs(3_599));
    let before = stage.get(&url).await?.status().as_u16();
    hold!(before == 200, "before: {before}");
    stage.mock.clock().advance(Duration::from_secs(1));
    let after = stage.get(&url).await?.status().as_u16();
    hold!(after == 403, "after: {after}");
    Ok(())
}
