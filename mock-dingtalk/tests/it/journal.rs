//! The journal as a file: every line, and no secret.

use mock_dingtalk::{AppOptions, Entry, MockDingtalk};
use serde_json::{Value, json};

use crate::support::{Bot, data, http, ticket};

#[tokio::test]
async fn an_export_holds_every_entry_and_no_secret() {
    let mock = MockDingtalk::start().await.unwrap();
    let client = http();
    let chosen = "it's \"quoted\" \\ & more";
    let apps = [mock.app(), mock.app_with(AppOptions::default().client_secret(chosen)).unwrap()];
    let mut secrets: Vec<String> = Vec::new();
    for app in &apps {
        let body = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
        let url = format!("{}/v1.0/oauth2/accessToken", mock.url());
        let answer: Value =
            client.post(url).json(&body).send().await.unwrap().json().await.unwrap();
        let (endpoint, ticket) = ticket(&mock, app).await;
        let mut bot = Bot::redeem(&endpoint, &ticket).await.unwrap();
        app.wait_connections(1).await.unwrap();
        app.say("user0001", &format!("my secret is {}", app.client_secret())).await.unwrap();
        let frame = bot.frame().await;
        let webhook = data(&frame)["sessionWebhook"].as_str().unwrap().to_owned();
        let reply =
            json!({"msgtype": "text", "text": {"content": format!("the ticket was {ticket}")}});
        client.post(&webhook).json(&reply).send().await.unwrap();
        secrets.push(app.client_secret().to_owned());
        secrets.push(answer["accessToken"].as_str().unwrap().to_owned());
        secrets.push(webhook.rsplit_once('=').unwrap().1.to_owned());
        secrets.push(ticket);
    }
    let url = format!("{}/_mock/journal?format=jsonl", mock.url());
    let response = client.get(&url).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let export = response.text().await.unwrap();
    let mut texts = vec![export.clone(), apps[1].export_journal(true).unwrap()];
    texts.push(mock.export_journal(true).unwrap());
    for text in &texts {
        for secret in &secrets {
            let escaped = json!(secret).to_string();
            let escaped = &escaped[1..escaped.len() - 1];
            let twice = json!(escaped).to_string();
            for form in [secret.as_str(), escaped, &twice[1..twice.len() - 1]] {
                assert!(!text.contains(form), "{form} is in {text}");
            }
        }
    }
    let mut lines = export.lines();
    let head: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let entries: Vec<Entry> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(head["format"], "mock-dingtalk journal");
    assert_eq!((&head["redacted"], &head["dropped"]), (&json!(true), &json!(0)));
    assert_eq!(head["entries"], entries.len());
    // The same ids stay the same, and different ones different.
    for mark in ["secret-1", "secret-2", "token-1", "token-2", "ticket-1", "ticket-2", "session-2"]
    {
        assert!(export.contains(&format!("«{mark}»")), "{mark} in {export}");
    }
    assert!(!export.contains("«token-3»") && !export.contains("«ticket-3»"), "{export}");
    let said = entries.iter().find(|entry| entry.text.starts_with("text to user0001")).unwrap();
    assert!(said.body.as_deref().unwrap().starts_with("the ticket was «ticket-"), "{said:?}");
}

#[tokio::test]
async fn an_export_can_be_raw_and_bounded_and_says_what_it_left_out() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let (_, ticket) = ticket(&mock, &app).await;
    for n in 0..10 {
        app.say("user0001", &n.to_string()).await.unwrap();
    }
    let get = async |query: &str| {
        let url = format!("{}/_mock/journal?{query}&app={}", mock.url(), app.client_id());
        let response = http().get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (_, raw) = get("format=jsonl&redact=false").await;
    assert!(raw.contains(&ticket));
    assert_eq!(raw, app.export_journal(false).unwrap());
    let (_, part) = get("format=jsonl&limit=3&after=2").await;
    let head: Value = serde_json::from_str(part.lines().next().unwrap()).unwrap();
    assert_eq!((&head["entries"], &head["more"]), (&json!(3), &json!(true)));
    assert_eq!(head["app"], app.client_id());
    assert_eq!(part.lines().count(), 4);
    for bad in ["format=xml", "redact=false", "format=jsonl&redact=no"] {
        assert_eq!(get(bad).await.0, 400, "{bad}");
    }
}
