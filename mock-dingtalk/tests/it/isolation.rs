//! Apps on one port never see each other.

use std::{sync::Arc, time::Duration};

use mock_dingtalk::{Action, App, ErrorBody, Fault, MockDingtalk, When};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

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

/// What one of many apps is set to.
#[derive(Debug, Clone, Copy)]
struct Setting {
    advanced: Duration,
    paused: bool,
    scale: u32,
    jumped_ms: i64,
    /// The status that its token call gets, and how often.
    fault: (u16, u32),
}

impl Setting {
    /// Another one for each number.
    fn of(number: u32) -> Self {
        Self {
            // From 0 to 4 h in steps of 14.4 s: 2 h of life is over for half of them.
            advanced: Duration::from_millis(u64::from(number) * 14_400),
            paused: number.is_multiple_of(3),
            scale: 1 + number % 4,
            jumped_ms: i64::from(number) * 1_000 - 500_000,
            fault: (500 + u16::try_from(number % 97).unwrap(), 1 + number % 2),
        }
    }

    /// Applies it, before anything is asked of the app.
    fn set(self, app: &App) {
        let clock = app.clock();
        clock.jump(self.jumped_ms);
        clock.set_scale(f64::from(self.scale)).unwrap();
        if self.paused {
            clock.pause();
        }
        let (status, times) = self.fault;
        let action = Action::Status(status, ErrorBody::Json);
        let when = When::Path("/v1.0/oauth2/accessToken".to_owned());
        app.fault(Fault::first(times, when, action)).unwrap();
    }

    /// How far the app's clock goes, when it is advanced and then the mock's is, by `mock`.
    fn passes(self, mock: Duration) -> Duration {
        self.advanced + if self.paused { Duration::ZERO } else { mock * self.scale }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_apps_on_one_port_have_their_own_clocks_and_faults() {
    const APPS: u32 = 1_000;
    /// Calls at a time, so that sockets don't run out.
    const CALLS: usize = 32;
    const HOUR: Duration = Duration::from_hours(1);
    let mock = MockDingtalk::start().await.unwrap();
    mock.clock().pause();
    let start = mock.clock().unix_ms();
    let client = http();
    let turns = Arc::new(Semaphore::new(CALLS));

    // Each gets its setting, its faults and its token, all of them at once.
    let mut tasks = JoinSet::new();
    for number in 0..APPS {
        let (app, client, turns) = (mock.app(), client.clone(), Arc::clone(&turns));
        let url = format!("{}/v1.0/oauth2/accessToken", mock.url());
        tasks.spawn(async move {
            let setting = Setting::of(number);
            setting.set(&app);
            let body = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
            let mut statuses = Vec::new();
            let token = loop {
                let _turn = turns.acquire().await.unwrap();
                let answer = client.post(&url).json(&body).send().await.unwrap();
                statuses.push(answer.status().as_u16());
                if answer.status() == 200 {
                    let answer: Value = answer.json().await.unwrap();
                    break answer["accessToken"].as_str().unwrap().to_owned();
                }
                assert!(statuses.len() < 5, "{number}: {statuses:?}");
            };
            app.clock().advance(setting.advanced);
            (setting, app, token, statuses)
        });
    }
    let apps = tasks.join_all().await;
    mock.clock().advance(HOUR);

    let mut tasks = JoinSet::new();
    for (setting, app, token, statuses) in apps {
        let (status, times) = setting.fault;
        let expected: Vec<u16> = (0..times).map(|_| status).chain([200]).collect();
        assert_eq!(statuses, expected, "{setting:?}");
        assert_eq!(app.faults().unwrap()[0].hits, u64::from(times), "{setting:?}");
        let passed = setting.passes(HOUR);
        let ms = i64::try_from(passed.as_millis()).unwrap();
        assert_eq!(app.clock().unix_ms(), start + setting.jumped_ms + ms, "{setting:?}");
        let (client, turns) = (client.clone(), Arc::clone(&turns));
        let url = format!("{}/user/get?access_token={token}&userid=user0001", mock.url());
        tasks.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            let answer: Value = client.get(url).send().await.unwrap().json().await.unwrap();
            let expired = passed >= 2 * HOUR;
            let errcode = if expired { 42_001 } else { 0 };
            assert_eq!(answer["errcode"], errcode, "{setting:?}: {answer}");
            expired
        });
    }
    let expired = tasks.join_all().await.into_iter().filter(|expired| *expired).count();
    assert!((300..=900).contains(&expired), "of both kinds there are many: {expired}");
    assert_eq!(mock.clock().since_start().as_secs() / 3_600, 1);
}
