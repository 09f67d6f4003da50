//! Every control call against its own description, `/_mock/openapi.json`.

use std::{cell::Cell, time::Duration};

use mock_dingtalk::{App, MockDingtalk};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::{
    schema::fits,
    support::{Bot, http},
};

/// A call of the description.
#[derive(Debug, Clone)]
struct Call {
    method: Method,
    path: String,
    operation: Value,
}

impl Call {
    /// The path for an app, with `id` for whatever else it names.
    fn at(&self, app: &App, id: &str) -> String {
        self.path.replace("{clientId}", app.client_id()).replace("{id}", id)
    }

    fn schema(&self) -> Option<&Value> {
        self.operation.pointer("/requestBody/content/application~1json/schema")
    }

    fn examples(&self) -> Vec<Value> {
        let examples = self.operation.pointer("/requestBody/content/application~1json/examples");
        let examples = examples.and_then(Value::as_object).into_iter().flatten();
        examples.map(|(_, example)| example["value"].clone()).collect()
    }

    /// Server-sent events never end.
    fn streams(&self) -> bool {
        self.operation["operationId"] == "followJournal"
    }

    fn forgets_apps(&self) -> bool {
        ["reset", "deleteApp"].iter().any(|id| self.operation["operationId"] == *id)
    }

    /// What has to be in the query for the call to be done at all.
    fn query(&self, app: &App) -> String {
        if self.operation["operationId"] == "showEnv" {
            format!("?clientId={}", app.client_id())
        } else {
            String::new()
        }
    }
}

async fn described(mock: &MockDingtalk) -> (Value, Vec<Call>) {
    let url = format!("{}/_mock/openapi.json", mock.url());
    let document: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    let mut calls = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
            calls.push(Call { method, path: path.clone(), operation: operation.clone() });
        }
    }
    (document, calls)
}

async fn send(
    client: &reqwest::Client,
    mock: &MockDingtalk,
    method: &Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> (u16, Value) {
    let mut request = client.request(method.clone(), format!("{}{path}", mock.url()));
    if let Some(body) = body {
        request = request.body(body);
    }
    let response = request.timeout(Duration::from_secs(10)).send().await.unwrap();
    let status = response.status().as_u16();
    if response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
        return (status, Value::Null);
    }
    (status, response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn the_library_prints_the_same_description_and_every_call_is_there() {
    let mock = MockDingtalk::start().await.unwrap();
    let (document, calls) = described(&mock).await;
    assert_eq!(document, MockDingtalk::openapi());
    assert!(calls.len() >= 55, "{} calls", calls.len());
    for call in calls {
        let app = mock.app();
        let path = call.at(&app, "all") + &call.query(&app);
        let (status, answer) = send(&http(), &mock, &call.method, &path, None).await;
        let missing = answer["error"]["message"].as_str().unwrap_or_default();
        assert_ne!(status, 405, "{} {path}", call.method);
        assert!(!missing.contains("no such control call"), "{} {path}: {missing}", call.method);
    }
}

#[tokio::test]
async fn every_example_is_taken_as_described() {
    let mock = MockDingtalk::start().await.unwrap();
    let (document, calls) = described(&mock).await;
    for call in calls {
        let expected = call.operation["responses"].as_object().unwrap();
        let done = expected.keys().find(|status| status.starts_with('2')).unwrap();
        for example in call.examples() {
            assert!(fits(&document, call.schema().unwrap(), &example), "{example}");
            let app = mock.app();
            let _bot = Bot::connect(&mock, &app).await;
            let path = call.at(&app, "all");
            let body = Some(example.to_string().into_bytes());
            let (status, answer) = send(&http(), &mock, &call.method, &path, body).await;
            assert_eq!(status.to_string(), *done, "{} {path} {example}: {answer}", call.method);
        }
    }
}

#[tokio::test]
async fn what_is_not_described_is_refused() {
    let mock = MockDingtalk::start().await.unwrap();
    let (_, calls) = described(&mock).await;
    for call in calls {
        let app = mock.app();
        let path = call.at(&app, "all");
        if call.path != "/_mock/live" && call.path != "/_mock/ready" {
            let query = format!("{path}?nonsense=1");
            let (status, answer) = send(&http(), &mock, &call.method, &query, None).await;
            assert_eq!(status, 400, "{} {query}: {answer}", call.method);
            assert_eq!(answer["error"]["field"], "nonsense", "{answer}");
            assert_eq!(answer["error"]["value"], "\"1\"", "{answer}");
            assert!(answer["error"]["allowed"].is_string(), "{answer}");
        }
        let mut bodies = call.examples();
        if call.schema().is_some() && bodies.is_empty() {
            bodies.push(match call.operation["operationId"].as_str().unwrap() {
                "pressCard" => json!({"outTrackId": "x", "userId": "user0001", "actionIds": []}),
                "read" => json!({"userId": "user0001", "processQueryKey": "x"}),
                _ => json!({"raw": "{}"}),
            });
        }
        for mut body in bodies {
            body["nonsense"] = 1.into();
            let body = body.to_string().into_bytes();
            let (status, answer) = send(&http(), &mock, &call.method, &path, Some(body)).await;
            assert_eq!(status, 400, "{} {path}: {answer}", call.method);
            assert!(answer["error"]["allowed"].is_string(), "{answer}");
        }
    }
}

#[tokio::test]
async fn refusals_of_the_http_library_look_like_all_others() {
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let path = "/_mock/apps/%ff%fe/messages";
    let (status, answer) = send(&http(), &mock, &Method::POST, path, None).await;
    assert_eq!((status, &answer["error"]["field"]), (400, &json!("the path")), "{answer}");
    let path = format!("/_mock/apps/{}/events", app.client_id());
    let body = vec![b' '; 3 << 20];
    let (status, answer) = send(&http(), &mock, &Method::POST, &path, Some(body)).await;
    assert_eq!(status, 413);
    assert!(answer["error"]["message"].is_string(), "{answer}");
}

/// Values as they stand in schemas, and others.
fn any_value(document: &Value) -> BoxedStrategy<Value> {
    let (mut names, mut words) = (Vec::new(), Vec::new());
    collect(document, &mut names, &mut words);
    names.push("nonsense".to_owned());
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => (0_u64..1200).prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => ".{0,12}".prop_map(Value::from),
        4 => prop::sample::select(words),
        1 => prop::sample::select(vec!["2h1s", "-1h", "user0001", "/gettoken", "aGk="])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            3 => object(names.clone(), inner),
        ]
    })
    .boxed()
}

fn object(names: Vec<String>, inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(names), inner), 0..5)
        .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into())
}

fn collect(schema: &Value, names: &mut Vec<String>, words: &mut Vec<Value>) {
    match schema {
        Value::Object(members) => {
            for (name, inner) in members {
                match (name.as_str(), inner) {
                    ("properties", Value::Object(inner)) => names.extend(inner.keys().cloned()),
                    ("enum", Value::Array(inner)) => words.extend(inner.iter().cloned()),
                    _ => {}
                }
                collect(inner, names, words);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names, words)),
        _ => {}
    }
}

/// An example with one member changed, or something else altogether.
fn any_body(call: &Call, document: &Value) -> BoxedStrategy<Vec<u8>> {
    let value = any_value(document);
    let mut names = Vec::new();
    collect(call.schema().unwrap_or(&Value::Null), &mut names, &mut Vec::new());
    names.push("nonsense".to_owned());
    let mut examples = call.examples();
    examples.push(json!({}));
    let members = examples.iter().filter_map(Value::as_object);
    let own: Vec<Value> =
        members.flat_map(|members| members.values().cloned()).chain([Value::Null]).collect();
    let member = prop_oneof![value.clone(), prop::sample::select(own)];
    let as_it_is = prop::sample::select(examples.clone());
    let near = (prop::sample::select(examples), prop::sample::select(names.clone()), member)
        .prop_map(|(mut example, name, value)| {
            example[name] = value;
            example
        });
    prop_oneof![
        1 => as_it_is.prop_map(|value| value.to_string().into_bytes()),
        4 => near.prop_map(|value| value.to_string().into_bytes()),
        4 => object(names, value.clone()).prop_map(|value| value.to_string().into_bytes()),
        1 => value.prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..64),
    ]
    .boxed()
}

fn any_query(call: &Call) -> BoxedStrategy<String> {
    let parameters = call.operation["parameters"].as_array().cloned().unwrap_or_default();
    let in_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
    let mut names: Vec<String> =
        in_query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
    names.extend(["nonsense".to_owned(), "%ff".to_owned()]);
    let value =
        prop_oneof!["[0-9]{1,2}", "[a-z%+=0-9]{0,8}", Just("99999999999999999999".to_owned())];
    prop::collection::vec((prop::sample::select(names), value), 0..4)
        .prop_map(|pairs| pairs.iter().flat_map(|(name, value)| [name, "=", value, "&"]).collect())
        .boxed()
}

#[test]
fn no_body_and_no_query_breaks_a_call_and_what_is_taken_is_described() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mock, document, calls) = runtime.block_on(async {
        let mock = MockDingtalk::start().await.unwrap();
        let (document, calls) = described(&mock).await;
        (mock, document, calls)
    });
    let client = http();
    let taken = Cell::new(0);
    for call in calls.iter().filter(|call| !call.streams()) {
        let mut app = mock.app();
        let bodies = any_body(call, &document);
        let inputs = (prop::sample::select(vec!["all", "1"]), any_query(call), bodies);
        // The queries are refused most of the time, so that half of the cases go without.
        let inputs = (any::<bool>(), inputs).prop_map(|(bare, (id, query, body))| {
            (id, if bare { String::new() } else { query }, body)
        });
        let mut runner =
            TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(120) });
        let ran = runner.run(&inputs, |(id, query, body)| {
            let path = format!("{}?{query}", call.at(&app, id));
            let sent = send(&client, &mock, &call.method, &path, Some(body.clone()));
            let (status, answer) = runtime.block_on(sent);
            // They would meet the next call of this test.
            mock.clear_tcp_faults();
            let shown = format!("{} {path} {:?}", call.method, String::from_utf8_lossy(&body));
            prop_assert!(status < 500, "{shown}: {status} {answer}");
            if status == 400 {
                for member in ["message", "field", "value", "allowed"] {
                    let told =
                        answer["error"][member].as_str().is_some_and(|text| !text.is_empty());
                    prop_assert!(told, "{shown}: no {member} in {answer}");
                }
            }
            if let (200..300, Some(schema)) = (status, call.schema()) {
                taken.set(taken.get() + 1);
                let text = if body.is_empty() { b"{}".as_slice() } else { &body };
                let value = serde_json::from_slice(text).unwrap_or_else(|_| json!({}));
                prop_assert!(fits(&document, schema, &value), "{shown} was taken: {status}");
            }
            Ok(())
        });
        ran.unwrap();
        if call.forgets_apps() {
            app = mock.app();
        }
        drop(app);
    }
    assert!(taken.get() > 100, "the bodies are too far off: only {} were taken", taken.get());
    runtime.block_on(async { drop(mock) });
}
