//! Secrets, tokens and the two ways to tell errors.

use serde_json::json;

use crate::{
    client::text,
    stage::{Stage, Verdict, hold, probes},
};

probes! {
    a_ticket_opens_one_connection: ["ticket-used-twice"],
    a_wrong_secret_opens_nothing: ["wrong-secret"],
    a_made_up_token_is_refused: ["token-unknown"],
    the_token_stays_the_same: ["token-renewed"],
    the_old_host_tells_errors_in_the_body: ["oapi-status"],
    an_error_of_the_new_host_has_the_id_of_its_request: ["request-id-missing"],
    the_twenty_first_call_in_a_second_is_refused: ["calls-unlimited"],
    each_app_is_reached_by_its_own_connection: ["pushed-to-other-app"],
}

async fn a_ticket_opens_one_connection(stage: Stage) -> Verdict {
    let url = stage.ticket().await?;
    let first = tokio_tungstenite::connect_async(&url).await;
    hold!(first.is_ok(), "a fresh ticket opens nothing: {:?}", first.err());
    let again = tokio_tungstenite::connect_async(&url).await;
    hold!(again.is_err(), "it opened a second connection");
    Ok(())
}

async fn a_wrong_secret_opens_nothing(stage: Stage) -> Verdict {
    let body = json!({
        "clientId": stage.app.client_id(), "clientSecret": "wrong",
        "subscriptions": [{"type": "EVENT", "topic": "*"}],
    });
    let (status, answer) = stage.post("/v1.0/gateway/connections/open", None, &body).await?;
    hold!(status == 401, "a connection: {status} {answer}");
    let body = json!({"appKey": stage.app.client_id(), "appSecret": "wrong"});
    let (status, answer) = stage.post("/v1.0/oauth2/accessToken", None, &body).await?;
    hold!(status == 400, "a token: {status} {answer}");
    Ok(())
}

async fn a_made_up_token_is_refused(stage: Stage) -> Verdict {
    let token = stage.token().await?;
    let (status, answer) = stage.batch_send(&token).await?;
    hold!(status == 200, "the right token: {status} {answer}");
    // The part that names the app stays.
    let made_up = format!("{}{}", &token[..14], "0".repeat(token.len() - 14));
    let (status, answer) = stage.batch_send(&made_up).await?;
    hold!((status, &answer["code"]) == (400, &json!("InvalidAuthentication")), "{status} {answer}");
    Ok(())
}

async fn the_token_stays_the_same(stage: Stage) -> Verdict {
    let (first, again) = (stage.token().await?, stage.token().await?);
    hold!(first == again, "another token");
    let (status, answer) = stage.batch_send(&first).await?;
    hold!(status == 200, "the first token does not work any more: {status} {answer}");
    Ok(())
}

async fn the_old_host_tells_errors_in_the_body(stage: Stage) -> Verdict {
    let path = "/robot/sendBySession?session=dingmock000001unknown";
    let body = json!({"msgtype": "text", "text": {"content": "hi"}});
    let (status, answer) = stage.post(path, None, &body).await?;
    hold!((status, &answer["errcode"]) == (200, &json!(300_001)), "{status} {answer}");
    let (status, answer) = stage.post("/media/upload?type=image", None, &json!({})).await?;
    hold!((status, &answer["errcode"]) == (200, &json!(41001)), "{status} {answer}");
    Ok(())
}

async fn an_error_of_the_new_host_has_the_id_of_its_request(stage: Stage) -> Verdict {
    let url = format!("{}/v1.0/robot/oToMessages/batchSend", stage.mock.url());
    let response = stage.http.post(url).json(&json!({})).send().await.map_err(text)?;
    let header = response.headers().get("x-acs-request-id").cloned();
    let answer: serde_json::Value = response.json().await.map_err(text)?;
    let told = answer["requestid"].as_str();
    hold!(told.is_some_and(|id| !id.is_empty()), "no requestid in {answer}");
    hold!(told == header.as_ref().and_then(|id| id.to_str().ok()), "the header has {header:?}");
    Ok(())
}

async fn the_twenty_first_call_in_a_second_is_refused(stage: Stage) -> Verdict {
    let token = stage.token().await?;
    for call in 1..=20 {
        let (status, answer) = stage.batch_send(&token).await?;
        hold!(status == 200, "call {call}: {status} {answer}");
    }
    let (status, answer) = stage.batch_send(&token).await?;
    let code = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi";
    hold!((status, &answer["code"]) == (403, &json!(code)), "{status} {answer}");
    Ok(())
}

async fn each_app_is_reached_by_its_own_connection(stage: Stage) -> Verdict {
    let other = stage.mock.app();
    let mut bot = stage.bot().await?;
    let mut foreign = stage.bot_of(&other, crate::client::ROBOT).await?;
    stage.app.say("user0001", "hi").await.map_err(text)?;
    tokio::select! {
        frame = stage.frame(&mut bot, "CALLBACK") => frame.map(drop),
        frame = stage.frame(&mut foreign, "CALLBACK") => {
            Err(format!("the bot of another app got {}", frame?))
        }
    }
}
