//! Apps on one port never see each other.

use mock_dingtalk::MockDingtalk;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Bot, data, http};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_apps_on_one_port_never_see_each_other() {
    const APPS: usize = 200;
    const MESSAGES: usize = 5;
    let mock = MockDingtalk::start().await.unwrap();
    let client = http();
    let mut tasks = JoinSet::new();
    for number in 0..APPS {
        let app = mock.app();
        let client = client.clone();
        let url = mock.url().to_owned();
        tasks.spawn(async move {
            let opened: serde_json::Value = client
                .post(format!("{url}/v1.0/gateway/connections/open"))
                .json(&crate::support::open_body(&app))
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            let endpoint = opened["endpoint"].as_str().unwrap();
            let ticket = opened["ticket"].as_str().unwrap();
            let mut bot = Bot::redeem(endpoint, ticket).await.unwrap();
            app.wait_connections(1).await.unwrap();
            for message in 0..MESSAGES {
                let text = format!("app {number} message {message}");
                app.say("user0001", &text).await.unwrap();
                let frame = bot.frame().await;
                let inner = data(&frame);
                assert_eq!(inner["text"]["content"], text);
                assert_eq!(inner["robotCode"], app.robot_code());
                bot.ack(&frame).await;
                let reply = json!({"msgtype": "text", "text": {"content": text}});
                let webhook = inner["sessionWebhook"].as_str().unwrap();
                client.post(webhook).json(&reply).send().await.unwrap();
            }
            let sent = app.wait_sent(MESSAGES).await.unwrap();
            let acked = app.wait_acked(MESSAGES).await.unwrap();
            (number, sent, acked, app)
        });
    }
    let mut finished = 0;
    while let Some(done) = tasks.join_next().await {
        let (number, sent, acked, app) = done.unwrap();
        assert_eq!(sent.len(), MESSAGES);
        assert_eq!(acked.len(), MESSAGES);
        for (message, row) in sent.iter().enumerate() {
            assert_eq!(row.text, format!("app {number} message {message}"));
        }
        assert!(acked.iter().all(|row| row.acks == 1 && row.attempts.len() == 1));
        let journal = app.journal().unwrap();
        assert!(journal.iter().all(|entry| entry.app.as_deref() == Some(app.client_id())));
        finished += 1;
    }
    assert_eq!(finished, APPS);
}
