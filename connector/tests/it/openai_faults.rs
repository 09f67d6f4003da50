//! The agent `openai`, against models that do what they should not.

use serde_json::{Value, json};

use crate::model::{KEY, Model, Reply};
use crate::support::{Running, World};

/// One person and a model.
struct Talk {
    // Dropped before its directory.
    running: Running,
    model: Model,
    world: World,
    answered: usize,
}

impl Talk {
    async fn new(args: &[&str]) -> Self {
        let (world, model) = (World::new().await, Model::start().await);
        let running = model.start_gateway(&world, args).await;
        Self { running, model, world, answered: 0 }
    }

    /// Says it, and waits for the answer.
    async fn say(&mut self, text: &str) -> String {
        self.world.app.say("user0001", text).await.unwrap();
        self.next().await
    }

    /// What is sent next.
    async fn next(&mut self) -> String {
        self.answered += 1;
        let sent = self.world.app.wait_sent(self.answered).await.unwrap();
        sent[self.answered - 1].text.clone()
    }

    fn asked(&self) -> String {
        self.model.asked().last().unwrap().talk()
    }
}

fn event(choice: &Value) -> String {
    format!("data: {}\n\n", json!({ "choices": [choice] }))
}

fn stream(choices: &[Value]) -> Reply {
    Reply::Raw("text/event-stream", choices.iter().map(event).collect())
}

#[tokio::test]
async fn a_model_that_falls_silent_is_given_up_and_the_next_question_is_answered() {
    let mut talk = Talk::new(&[
        "--openai-first-byte-timeout=900ms",
        "--openai-idle-timeout=700ms",
        "--openai-total-timeout=2s",
    ])
    .await;
    for (reply, read, left, explained) in [
        (Reply::Never, None, 1, "gave nothing for 900ms (an answer's beginning)"),
        (Reply::Hold(Vec::new()), None, 2, "gave nothing for 900ms (the rest of an answer)"),
        (
            Reply::Hold(vec!["half".to_owned()]),
            Some("half"),
            3,
            "gave nothing for 700ms (the rest of an answer)",
        ),
        (Reply::Trickle, None, 4, "gave nothing for 2s (all of it)"),
    ] {
        talk.model.next(reply);
        let mut told = talk.say("hello").await;
        if let Some(read) = read {
            assert_eq!(told, read, "it does not go away");
            told = talk.next().await;
        }
        assert!(told.contains("The model took too long"), "{told}");
        talk.running.wait_log(explained, 1).await;
        talk.model.wait_left(left).await;
    }
    assert_eq!(talk.say("again").await, "answer 5");
    assert_eq!(talk.asked(), "u:again");
}

#[tokio::test]
async fn an_endpoint_that_refuses_stream_options_is_asked_without_them_from_then_on() {
    let mut talk = Talk::new(&[]).await;
    let refusal = || Reply::Refuse(422, None, "extra field: stream_options".to_owned());
    // What it refuses in both forms was refused for something else.
    talk.model.next(refusal());
    talk.model.next(refusal());
    assert!(talk.say("too much").await.contains("/compact or /new"));
    talk.model.next(Reply::Refuse(400, None, "unknown: stream_options".to_owned()));
    assert_eq!(talk.say("one").await, "answer 4");
    assert_eq!(talk.say("two").await, "answer 5");
    let asked = talk.model.asked();
    let with: Vec<_> = asked.iter().map(|a| a.body.get("stream_options").is_some()).collect();
    assert_eq!(with, [true, false, true, false, false]);
    assert_eq!(asked[2].body["stream_options"], json!({ "include_usage": true }));
}

#[tokio::test]
async fn what_a_model_thinks_aloud_is_neither_said_nor_remembered() {
    let mut talk = Talk::new(&[]).await;
    talk.model.words(&["<th", "ink>secret", " thought</thi", "nk>\n\n", "fi", "ne"]);
    assert_eq!(talk.say("one").await, "fine");
    let delta = |delta: Value| json!({ "delta": delta });
    talk.model.next(stream(&[
        delta(json!({ "reasoning_content": "secret", "content": null })),
        delta(json!({ "content": "good" })),
    ]));
    assert_eq!(talk.say("two").await, "good");
    assert_eq!(talk.say("three").await, "answer 3");
    assert_eq!(talk.asked(), "u:one a:fine u:two a:good u:three");
    // Nothing but thoughts is no answer.
    talk.model.next(stream(&[
        delta(json!({ "content": "<think>secret" })),
        json!({ "delta": {}, "finish_reason": "length" }),
    ]));
    assert!(talk.say("four").await.contains("reached its limit before it answered"));
}

#[tokio::test]
async fn a_card_shows_the_answer_so_far_without_the_thoughts() {
    let talk = Talk::new(&[]).await;
    talk.model.hold(&["<think>", "a quiet thought", "</think>\n\n", "in the open"]);
    talk.world.app.say("user0001", "well?").await.unwrap();
    let journal = || format!("{:?}", talk.world.app.journal().unwrap());
    let shown = || journal().contains("in the open").then_some(());
    crate::support::eventually(|| format!("a card; there was {}", journal()), shown).await;
    assert!(!journal().contains("quiet"));
    talk.world.app.say("user0001", "/stop").await.unwrap();
    talk.model.wait_left(1).await;
}

#[tokio::test]
async fn how_an_answer_ended_is_told() {
    let mut talk = Talk::new(&[]).await;
    let half = json!({ "delta": { "content": "half" } });
    let end = |reason: &str| json!({ "delta": {}, "finish_reason": reason });
    let tool = json!({ "delta": { "tool_calls": [{ "index": 0, "id": "1", "type": "function",
        "function": { "name": "rm", "arguments": "{\"a\"" } }] } });
    for (choices, told) in [
        (vec![half.clone(), end("length")], "half\n\n…（回答达到长度上限"),
        (vec![half.clone(), end("content_filter")], "half\n\n…（回答被内容过滤截断"),
        (vec![end("content_filter")], "这个问题或回答被模型服务的内容过滤拦截了"),
        (vec![tool.clone(), end("tool_calls")], "模型没有给出回答"),
        (vec![tool, half, end("stop")], "half"),
    ] {
        talk.model.next(stream(&choices));
        let answer = talk.say("well?").await;
        assert!(answer.starts_with(told), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_comes_byte_by_byte_in_whatever_encoding_or_without_end() {
    let mut talk = Talk::new(&[]).await;
    let text = event(&json!({ "delta": { "content": "你好 🙂" } }));
    let mut bytes = format!(": hi\r\n{text}data: [DO").into_bytes();
    bytes.extend_from_slice(b"NE]\n\n");
    talk.model.next(Reply::Bytes(bytes.chunks(1).map(<[u8]>::to_vec).collect()));
    assert_eq!(talk.say("one").await, "你好 🙂");
    let latin = b"data: {\"choices\":[{\"delta\":{\"content\":\"caf\xe9 \xff\"}}]}\n\n".to_vec();
    talk.model.next(Reply::Bytes(vec![latin]));
    assert_eq!(talk.say("two").await, "caf\u{fffd} \u{fffd}");
    // 10 MB of words, and 10 MB of one line.
    let words = event(&json!({ "delta": { "content": "x".repeat(100_000) } })).into_bytes();
    talk.model.next(Reply::Bytes(vec![words; 100]));
    assert!(talk.say("three").await.contains("too long to be sent"));
    talk.model.next(Reply::Bytes(vec![vec![b'x'; 100_000]; 100]));
    assert!(talk.say("four").await.contains("Sorry"));
    talk.running.wait_log("an event without end", 1).await;
    assert!(talk.say("five").await.starts_with("answer 5"));
    assert_eq!(talk.asked(), "u:one a:你好 🙂 u:two a:caf\u{fffd} \u{fffd} u:five");
}

#[tokio::test]
async fn an_endpoint_that_shows_the_key_shows_it_to_nobody() {
    let mut talk = Talk::new(&[]).await;
    let error = json!({ "error": { "message": format!("bad key {KEY}"), "code": 401 } });
    let own = json!({ "code": "InvalidApiKey", "message": format!("bad key {KEY}") });
    let reason = json!({ "delta": {}, "finish_reason": format!("bad key {KEY}") });
    for reply in [
        Reply::Raw("application/json", error.to_string()),
        Reply::Raw("application/json", own.to_string()),
        Reply::Raw("text/event-stream", format!("data: {error}\n\n")),
        stream(&[reason]),
        Reply::Refuse(400, None, error.to_string()),
    ] {
        let refused = matches!(reply, Reply::Refuse(..));
        talk.model.next(reply.clone());
        if refused {
            talk.model.next(reply);
        }
        let told = talk.say("hello").await;
        assert!(!told.contains("sk-"), "{told}");
    }
    talk.running.wait_log("bad key ***", 5).await;
    assert!(!talk.running.log().contains(KEY));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let (mut talk, other) = (Talk::new(&[]).await, Model::start().await);
    talk.model.next(Reply::Redirect(format!("{}/v1/chat/completions", other.url())));
    assert!(talk.say("hello").await.contains("Sorry"));
    talk.running.wait_log("set OPENAI_BASE_URL to the final address", 1).await;
    assert!(other.asked().is_empty());
}
