//! What it says: by the `sessionWebhook`, and by the robot API where that is over.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::Cli;
use crate::http;
use crate::way::Way;

/// A reply that fails is tried so often, each way, with a pause between two tries: together they last longer
/// than the second that a limit of calls is about.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(200);
/// Calls of the robot API within a second: DingTalk refuses more.
const CALLS: usize = 20;
const SECOND: Duration = Duration::from_secs(1);
/// `errcode` of a `sessionWebhook` that is over.
const SESSION_OVER: i64 = 300_001;

/// A text that waits for its answer: the `data` of its CALLBACK.
pub(crate) type Question = Value;

#[derive(Debug)]
pub(crate) struct Replies {
    cli: Cli,
    /// The access token, once it was fetched.
    token: Option<String>,
    /// The latest question of each chat, by what tells chats apart.
    chats: HashMap<String, Question>,
    /// When the last calls of the robot API were answered.
    answered: VecDeque<Instant>,
}

/// What became of one try.
enum Tried {
    Said,
    /// It may be said a little later.
    Failed,
    /// Not this way.
    Over,
}

impl Replies {
    pub(crate) fn new(cli: Cli) -> Self {
        Self { cli, token: None, chats: HashMap::new(), answered: VecDeque::new() }
    }

    /// Says the words of a question in its chat.
    pub(crate) fn answer(&mut self, question: &Question) {
        let Some(text) = question["text"]["content"].as_str().map(str::to_owned) else { return };
        let chat = self.chat(question);
        if !self.webhook_is_over(&chat) {
            for _ in 0..TRIES {
                match self.by_webhook(&chat, &text) {
                    Tried::Said => return,
                    Tried::Failed => thread::sleep(PAUSE),
                    Tried::Over => break,
                }
            }
        }
        for _ in 0..TRIES {
            match self.by_robot(&chat, &text) {
                Tried::Said | Tried::Over => return,
                Tried::Failed => thread::sleep(PAUSE),
            }
        }
    }

    /// The question whose chat the answer goes to: this one, if chats are told apart.
    fn chat(&mut self, question: &Question) -> Question {
        if !self.cli.is(Way::Last8Characters) {
            return question.clone();
        }
        let id = question["conversationId"].as_str().unwrap_or_default();
        let key: String = id.chars().rev().take(8).collect();
        let known = self.chats.entry(key).or_insert_with(|| question.clone());
        if known["conversationId"] == question["conversationId"] {
            known.clone_from(question);
        }
        known.clone()
    }

    fn webhook_is_over(&self, chat: &Question) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ends = &chat["sessionWebhookExpiredTime"];
        let ends = ends.as_u64().or_else(|| ends.as_str()?.parse().ok());
        let over = ends.is_some_and(|ends| u128::from(ends) <= now.as_millis());
        over && !self.cli.is(Way::ReadsExpiredWebhook)
    }

    fn by_webhook(&self, chat: &Question, text: &str) -> Tried {
        let Some(webhook) = chat["sessionWebhook"].as_str() else { return Tried::Over };
        let answer = json!({ "msgtype": "text", "text": { "content": text } });
        let Ok(told) = http::post(webhook, &answer) else { return Tried::Failed };
        match told["errcode"].as_i64() {
            _ if self.cli.is(Way::IgnoresErrcode) => Tried::Said,
            Some(0) => Tried::Said,
            Some(SESSION_OVER) => Tried::Over,
            _ => Tried::Failed,
        }
    }

    /// `groupMessages/send` into a group, `oToMessages/batchSend` to a person.
    fn by_robot(&mut self, chat: &Question, text: &str) -> Tried {
        let mut body = json!({
            "robotCode": chat["robotCode"],
            "msgKey": "sampleText",
            "msgParam": json!({ "content": text }).to_string(),
        });
        let group = chat["conversationType"] == "2";
        let path = if group {
            body["openConversationId"] = chat["conversationId"].clone();
            "groupMessages/send"
        } else {
            let Some(person) = chat["senderStaffId"].as_str().filter(|id| !id.is_empty()) else {
                return Tried::Over;
            };
            body["userIds"] = json!([person]);
            "oToMessages/batchSend"
        };
        let Ok(token) = self.token() else { return Tried::Failed };
        let leak = if self.cli.is(Way::LeaksToken) {
            format!("?access_token={token}")
        } else {
            String::new()
        };
        let url = format!("{}/v1.0/robot/{path}{leak}", self.cli.endpoint);
        if self.answered.len() == CALLS
            && let Some(first) = self.answered.pop_front()
        {
            thread::sleep(SECOND.saturating_sub(first.elapsed()));
        }
        let told = http::call(&url, Some(&token), &body);
        self.answered.push_back(Instant::now());
        match told {
            Ok((200, _)) => Tried::Said,
            Ok((_, told)) if told.contains("InvalidAuthentication") => {
                if !self.cli.is(Way::KeepsToken) {
                    self.token = None;
                }
                Tried::Failed
            }
            // What is wrong with it stays wrong.
            Ok((400..=402 | 404..=428, _)) => Tried::Over,
            _ => Tried::Failed,
        }
    }

    fn token(&mut self) -> io::Result<String> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let ask = json!({ "appKey": self.cli.client_id, "appSecret": self.cli.client_secret });
        let url = format!("{}/v1.0/oauth2/accessToken", self.cli.endpoint);
        let answer = http::post(&url, &ask)?;
        let token = answer["accessToken"].as_str().ok_or_else(|| io::Error::other("no token"))?;
        Ok(self.token.insert(token.to_owned()).clone())
    }
}
