//! The agent `openai`, against a model that plays a script.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mock_dingtalk::{Action, Content, Fault, Media, Quote, Sample, Times, When};
use serde_json::json;

use crate::model::{KEY, Model, Reply};
use crate::support::{Running, World, program};

async fn start(args: &[&str]) -> (World, Model, Running) {
    let (world, model) = (World::new().await, Model::start().await);
    let running = model.start_gateway(&world, args).await;
    (world, model, running)
}

#[tokio::test]
async fn an_answer_is_streamed_and_the_next_question_remembers_it() {
    let (world, model, _running) = start(&["--openai-system-prompt", "be brief"]).await;
    model.words(&["# 你好\n", "it is ", "**well**"]);
    world.app.say("user0001", "how is it?").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!(sent[0].msgtype, "markdown");
    assert_eq!(sent[0].raw["markdown"]["title"], "你好");
    assert_eq!(sent[0].raw["markdown"]["text"], "# 你好\nit is **well**");
    world.app.say("user0001", "and now?").await.unwrap();
    world.app.say("user0002", "a stranger").await.unwrap();
    world.app.wait_sent(3).await.unwrap();
    let asked = model.wait_asked(3).await;
    let first = &asked[0].body;
    assert_eq!((&first["model"], &first["stream"]), (&json!("small"), &json!(true)));
    assert_eq!(asked[0].authorization, Some(format!("Bearer {KEY}")));
    let talk = |part: &str| {
        asked.iter().map(crate::model::Asked::talk).find(|talk| talk.ends_with(part)).unwrap()
    };
    assert_eq!(talk("and now?"), "s:be brief u:how is it? a:# 你好\nit is **well** u:and now?");
    assert_eq!(talk("a stranger"), "s:be brief u:a stranger", "each person has a session");
}

#[tokio::test]
async fn a_group_is_one_session_and_says_who_speaks() {
    let (world, model, _running) = start(&[]).await;
    world.app.say_in_group("user0001", "Team", "one").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    world.app.say_in_group("user0002", "Team", "two").await.unwrap();
    world.app.wait_sent(2).await.unwrap();
    let asked = model.wait_asked(2).await;
    let messages = asked[1].messages();
    let nick = |index: usize| messages[index].1.split_once(": ").unwrap().0.to_owned();
    assert_eq!(messages.len(), 3);
    assert!(messages[0].1.ends_with("one") && messages[2].1.ends_with("two"), "{messages:?}");
    assert_ne!(nick(0), nick(2));
}

#[tokio::test]
async fn pictures_files_voices_and_quotes_reach_the_model() {
    let (world, model, _running) = start(&[]).await;
    let picture = Sample::Png.media();
    world.app.say_picture("user0001", picture.clone()).await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    let mut note = Sample::Png.media();
    note.name = "note.md".to_owned();
    note.bytes = "the code is 4711 你好".as_bytes().to_vec().into();
    world.app.say_file("user0001", note).await.unwrap();
    world.app.wait_sent(2).await.unwrap();
    let mut packed: Media = Sample::Png.media();
    packed.name = "a.zip".to_owned();
    packed.bytes = b"PK\x03\x04\xff\xfe".to_vec().into();
    world.app.say_file("user0001", packed).await.unwrap();
    world.app.wait_sent(3).await.unwrap();
    world.app.say_audio("user0001", Sample::Png.media(), "good morning").await.unwrap();
    world.app.wait_sent(4).await.unwrap();

    let asked = model.wait_asked(4).await;
    let question = &asked[0].body["messages"][0]["content"];
    assert_eq!(question[0]["type"], "text");
    assert_eq!(question[1]["type"], "image_url");
    let url = question[1]["image_url"]["url"].as_str().unwrap();
    let data = url.strip_prefix("data:image/png;base64,").unwrap();
    assert_eq!(STANDARD.decode(data).unwrap(), picture.bytes.to_vec());
    let last = |index: usize| asked[index].messages().pop().unwrap().1;
    assert!(last(1).contains("note.md holds:]\n```\nthe code is 4711 你好\n```"), "{}", last(1));
    assert!(asked[1].body["messages"][0]["content"].is_string(), "the picture went once");
    assert!(last(2).contains("a.zip cannot be read: only text files"), "{}", last(2));
    assert_eq!(last(3), "good morning");
}

#[tokio::test]
async fn what_is_quoted_comes_with_the_question() {
    let (world, model, _running) = start(&[]).await;
    let quote = Quote::of(Content::text("the sky is green"));
    world.app.say_quoting("user0001", "is it?", quote).await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    let question = model.wait_asked(1).await[0].messages().pop().unwrap().1;
    assert!(question.contains("> the sky is green\n"), "{question}");
    assert!(question.ends_with("\n\nis it?"), "{question}");
}

#[tokio::test]
async fn an_endpoint_that_streams_nothing_is_understood() {
    let (world, model, _running) = start(&[]).await;
    let body = json!({ "choices": [{ "message": { "role": "assistant", "content": "whole" } }] });
    model.next(Reply::Raw("application/json", body.to_string()));
    model.next(Reply::Raw("text/event-stream", body.to_string()));
    // The other way round: CRLF, comments, no end.
    let stream = ": wait\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"bare\"}}]}";
    model.next(Reply::Raw("text/event-stream", stream.to_owned()));
    world.app.say("user0001", "one").await.unwrap();
    world.app.say("user0001", "two").await.unwrap();
    world.app.say("user0001", "three").await.unwrap();
    let sent = world.app.wait_sent(3).await.unwrap();
    let texts: Vec<_> = sent.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(texts, ["whole", "whole", "bare"]);
}

/// Failures: the person gets an apology, the operator what to do, and nobody the key.
#[tokio::test]
async fn a_failing_endpoint_is_apologised_for_and_explained_without_the_key() {
    let (world, model, running) = start(&[]).await;
    let error = |message: &str| json!({ "error": { "message": message } }).to_string();
    let stream = format!("data: {}\n\n", error("overloaded"));
    for (text, reply, explained) in [
        (
            "no key",
            Reply::Refuse(401, None, error(&format!("bad key {KEY}"))),
            "answered HTTP 401: bad key ***; check OPENAI_API_KEY",
        ),
        (
            "no model",
            Reply::Refuse(404, None, error("no such model")),
            "HTTP 404: no such model; check OPENAI_BASE_URL, and that OPENAI_MODEL",
        ),
        (
            "broken",
            Reply::Refuse(500, None, "oops".to_owned()),
            "HTTP 500: oops; its server failed",
        ),
        ("midway", Reply::Raw("text/event-stream", stream), "failed while it answered: overloaded"),
        (
            "html",
            Reply::Raw("text/html", "<html>".to_owned()),
            "gave a web page; check that OPENAI",
        ),
        ("odd", Reply::Raw("text/plain", "data: <html>\n\n".to_owned()), "that is no JSON"),
    ] {
        let before = world.app.sent().unwrap().len();
        model.next(reply);
        world.app.say("user0001", text).await.unwrap();
        let sent = world.app.wait_sent(before + 1).await.unwrap();
        assert!(sent[before].text.contains("Sorry, something went wrong"), "{:?}", sent[before]);
        running.wait_log(explained, 1).await;
    }
    // Nothing of all this is remembered.
    world.app.say("user0001", "again").await.unwrap();
    world.app.wait_sent(7).await.unwrap();
    assert_eq!(model.asked().last().unwrap().talk(), "u:again");
    assert!(!running.log().contains(KEY));
}

#[tokio::test]
async fn a_model_that_is_busy_is_asked_again() {
    let (world, model, running) = start(&[]).await;
    model.next(Reply::Refuse(429, Some("1"), "slow down".to_owned()));
    model.next(Reply::Refuse(503, None, String::new()));
    world.app.say("user0001", "hello").await.unwrap();
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "answer 3");
    assert_eq!(running.lines("the model is asked again").len(), 2);
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_apologised_for() {
    let (world, model) = (World::new().await, Model::start().await);
    let mut command = world.command(&["--agent", "openai", "--dm-policy", "open"]);
    // A port that nobody listens on: it was just given back.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    command.env("OPENAI_BASE_URL", format!("http://{nobody}")).env("OPENAI_MODEL", "small");
    let running = world.start_command(command);
    world.app.wait_connections(1).await.unwrap();
    world.app.say("user0001", "hello").await.unwrap();
    let sent = world.app.wait_sent(1).await.unwrap();
    assert!(sent[0].text.contains("Sorry"), "{:?}", sent[0]);
    running.wait_log("cannot be reached", 1).await;
    assert!(model.asked().is_empty());
}

#[tokio::test]
async fn a_kill_in_the_middle_of_an_answer_leaves_neither_half() {
    // Whether the half becomes a card depends on the machine.
    let no_cards = &["--cards", "off"];
    let (world, model, running) = start(no_cards).await;
    world.app.say("user0001", "one").await.unwrap();
    world.app.wait_sent(1).await.unwrap();
    model.hold(&["half an ans"]);
    world.app.say("user0001", "two").await.unwrap();
    world.app.wait_acked(2).await.unwrap();
    model.wait_asked(2).await;
    running.kill();
    world.wait_disconnected().await;
    model.wait_left(1).await;
    let running = model.start_gateway(&world, no_cards).await;
    assert_eq!(world.app.wait_sent(2).await.unwrap()[1].text, "answer 3");
    world.app.say("user0001", "three").await.unwrap();
    assert_eq!(world.app.wait_sent(3).await.unwrap().len(), 3);
    let talk = model.asked().last().unwrap().talk();
    assert_eq!(talk, "u:one a:answer 1 u:two a:answer 3 u:three");
    drop(running);
}

#[tokio::test]
async fn a_kill_before_the_answer_arrived_asks_the_model_no_second_time() {
    let (world, model, running) = start(&[]).await;
    let webhook = When::Path("/robot/sendBySession".to_owned());
    let hang = Fault { when: webhook, times: Times::Always, action: Action::Hang };
    world.app.fault(hang).unwrap();
    world.app.say("user0001", "one").await.unwrap();
    let hits = || world.app.faults().unwrap().iter().map(|row| row.hits).sum::<u64>();
    crate::support::eventually(|| "a send".to_owned(), || (hits() > 0).then_some(())).await;
    running.kill();
    world.wait_disconnected().await;
    world.app.clear_faults().unwrap();
    let _running = model.start_gateway(&world, &[]).await;
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "answer 1");
    world.app.say("user0001", "two").await.unwrap();
    world.app.wait_sent(2).await.unwrap();
    let asked = model.asked();
    assert_eq!((asked.len(), asked[1].talk().as_str()), (2, "u:one a:answer 1 u:two"));
}

#[tokio::test]
async fn without_a_model_the_program_says_what_is_missing() {
    let world = World::new().await;
    for (name, value, part) in [
        ("OPENAI_BASE_URL", "http://127.0.0.1:9", "OPENAI_MODEL is not set"),
        ("OPENAI_BASE_URL", "model.example", "OPENAI_BASE_URL is \"model.example\""),
    ] {
        let mut command = world.command(&["--agent", "openai"]);
        let output = command.env(name, value).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(10), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
    }
    let mut command = world.command(&["--agent", "openai", "--openai-system-prompt-file", "/none"]);
    let output = command.env("OPENAI_MODEL", "small").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("--openai-system-prompt-file /none cannot be read"), "{stderr}");
}

#[tokio::test]
async fn dev_answers_with_a_model_too() {
    let model = Model::start().await;
    let mut command = program();
    command
        .args(["dev", "--agent", "openai", "--say", "hello"])
        .env("OPENAI_BASE_URL", format!("{}/v1/", model.url()))
        .env("OPENAI_MODEL", "small");
    // A proxy is nothing to a model on this machine. Nobody listens at this one.
    command.env("http_proxy", "http://127.0.0.1:9").env("ALL_PROXY", "http://127.0.0.1:9");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "answer 1\n");
    let asked = model.asked();
    assert_eq!((asked.len(), asked[0].authorization.as_deref()), (1, None));
}
