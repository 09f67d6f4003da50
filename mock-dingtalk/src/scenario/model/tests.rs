use std::time::Duration;

use serde_json::{Value, json};

use super::{Model, Script};
use crate::control::Fields;

const PATIENCE: Duration = Duration::from_secs(10);

fn read(script: Value) -> Result<Script, String> {
    let Value::Object(members) = script else { panic!("an object") };
    Script::read(Fields::within("model", members)).map_err(|error| error.to_string())
}

/// It builds its TLS without being asked to speak it.
fn client() -> reqwest::Client {
    // Another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn start(script: Value) -> Model {
    Model::start(&read(script).unwrap()).await.unwrap()
}

async fn ask(model: &Model, words: &str, stream: bool) -> (u16, String) {
    let [(_, url), (_, key), (_, name)] = model.env();
    let messages = [json!({ "role": "user", "content": words })];
    let body = json!({ "model": name, "messages": messages, "stream": stream });
    let response = client()
        .post(format!("{url}/chat/completions"))
        .bearer_auth(key)
        .json(&body)
        .send()
        .await
        .unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn lines_are_said_once_in_order_to_the_questions_they_are_for_and_then_it_repeats() {
    let model = start(json!({ "lines": [
        { "to": "weather", "say": ["it ", "rains"] },
        { "say": "first" },
        { "status": 503, "retryAfter": 7 },
        { "to": "name", "always": true, "say": "Ada", "ending": "length" },
    ] }))
    .await;
    let words = |body: &str| {
        let body: Value = serde_json::from_str(body).unwrap();
        body["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    for (question, answer) in [("hello", "first"), ("the weather?", "it rains")] {
        assert_eq!(words(&ask(&model, question, false).await.1), answer);
    }
    assert_eq!(ask(&model, "hello", false).await.0, 503);
    for (question, answer) in
        [("a name", "Ada"), ("a name", "Ada"), ("the weather?", "the weather?")]
    {
        assert_eq!(words(&ask(&model, question, false).await.1), answer);
    }
    model.hear("how are you?");
    assert_eq!(words(&ask(&model, "Ada: how are you?", false).await.1), "how are you?");
    assert_eq!(model.look(|seen| seen.asked.len()), 7);
    assert_eq!(model.look(|seen| seen.left), 0);
}

#[tokio::test]
async fn what_is_held_back_waits_for_its_release_and_a_listener_who_leaves_is_counted() {
    let model = start(json!({ "lines": [
        { "say": ["half ", { "hold": "rest" }, "of it"] },
        { "say": [{ "hold": "never" }] },
    ] }))
    .await;
    let (answer, ()) = tokio::join!(ask(&model, "hello", true), async {
        model.wait(PATIENCE, |seen| (seen.asked.len() == 1).then_some(())).await.unwrap();
        model.release("rest");
    });
    let pieces: Vec<_> = answer.1.lines().filter(|line| line.contains("\"content\"")).collect();
    assert_eq!(pieces.len(), 2, "{}", answer.1);
    assert!(answer.1.ends_with("data: [DONE]\n\n"));
    tokio::select! {
        answer = ask(&model, "hello", true) => panic!("{answer:?}"),
        asked = model.wait(PATIENCE, |seen| (seen.asked.len() == 2).then_some(())) => {
            asked.expect("it is asked");
        }
    }
    model.wait(PATIENCE, |seen| (seen.left == 1).then_some(())).await.expect("it has left");
}

#[tokio::test]
async fn what_an_endpoint_would_not_take_is_refused() {
    let model = start(json!({ "models": ["small", "large"] })).await;
    let [(_, url), (_, key), _] = model.env();
    let client = client();
    let models = client.get(format!("{url}/models")).bearer_auth(&key).send().await.unwrap();
    let models: Value = models.json().await.unwrap();
    assert_eq!(
        (&models["data"][0]["id"], &models["data"][1]["id"]),
        (&json!("small"), &json!("large"))
    );
    let question = |model: &str, role: &str| json!({ "model": model, "messages": [{ "role": role, "content": "hello" }] });
    for (key, body, status) in [
        ("another", question("small", "user"), 401),
        (key.as_str(), question("huge", "user"), 404),
        (key.as_str(), question("small", "person"), 400),
        (key.as_str(), json!({ "model": "small", "messages": [] }), 400),
        (key.as_str(), json!({ "model": "small", "messages": [{ "role": "user" }] }), 400),
        (key.as_str(), question("large", "user"), 200),
    ] {
        let call = client.post(format!("{url}/chat/completions")).bearer_auth(key).json(&body);
        assert_eq!(call.send().await.unwrap().status(), status, "{body}");
    }
}

#[test]
fn a_wrong_line_is_named() {
    for (lines, part) in [
        (json!("hello"), "`model.lines`"),
        (json!(["hello"]), "`model.lines[0]`"),
        (json!([{ "say": "a" }, { "to": "b" }]), "`model.lines[1].say`"),
        (json!([{ "say": "a", "status": 503 }]), "`model.lines[0].say`"),
        (json!([{ "status": 200 }]), "`model.lines[0].status`"),
        (json!([{ "say": [7] }]), "`model.lines[0]`"),
        (json!([{ "say": [{ "hold": "a", "numbers": 2 }] }]), "`model.lines[0]`"),
        (json!([{ "say": [{ "numbers": 1_000_000 }] }]), "`model.lines[0]`"),
        (json!([{ "say": "a", "ending": "abrupt" }]), "`model.lines[0].ending`"),
        (json!([{ "say": "a", "loud": true }]), "`model.lines[0].loud`"),
    ] {
        let complaint = read(json!({ "lines": lines })).unwrap_err();
        assert!(complaint.contains(part), "{lines}: {complaint}");
    }
}
