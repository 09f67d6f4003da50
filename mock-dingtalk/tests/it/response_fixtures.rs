//! Every recorded success of the OpenAPI: the mock gives the same members of the same types.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    caller::{Caller, shown, with},
    fixtures::{names, value},
    media_api::{form, upload},
    support::{Bot, data},
};

/// Members that are maps from ids to values of one type, so that their names differ from run to
/// run; by fixture and pointer.
const MAPS: &[(&str, &str)] = &[("oto_recall.response", "/failedResult")];

/// Asserts that `got` has the members and types of `recorded`. Of an array, each item has the
/// shape of some recorded one, and there is one if there was one.
fn same(fixture: &str, at: &str, got: &Value, recorded: &Value) -> Result<(), String> {
    let differs = |what: String| Err(format!("{fixture} {at}: {what}"));
    match (got, recorded) {
        (Value::Object(got), Value::Object(recorded)) if MAPS.contains(&(fixture, at)) => {
            if got.is_empty() != recorded.is_empty() {
                return differs(format!("{got:?}, recorded {recorded:?}"));
            }
            let Some(value) = recorded.values().next() else { return Ok(()) };
            got.iter()
                .try_for_each(|(name, got)| same(fixture, &format!("{at}/{name}"), got, value))
        }
        (Value::Object(got), Value::Object(recorded)) => {
            let names = |of: &serde_json::Map<String, Value>| -> BTreeSet<String> {
                of.keys().cloned().collect()
            };
            if names(got) != names(recorded) {
                return differs(format!(
                    "members {:?}, recorded {:?}",
                    names(got),
                    names(recorded)
                ));
            }
            got.iter().try_for_each(|(name, got)| {
                same(fixture, &format!("{at}/{name}"), got, &recorded[name])
            })
        }
        (Value::Array(got), Value::Array(recorded)) => {
            if got.is_empty() != recorded.is_empty() {
                return differs(format!("{got:?}, recorded {recorded:?}"));
            }
            for item in got {
                let tries = recorded.iter().map(|recorded| same(fixture, at, item, recorded));
                let failed: Vec<String> = tries.filter_map(Result::err).collect();
                if failed.len() == recorded.len() {
                    return Err(failed.join("; "));
                }
            }
            Ok(())
        }
        (got, recorded) => {
            if std::mem::discriminant(got) == std::mem::discriminant(recorded) {
                return Ok(());
            }
            differs(format!("{got}, recorded {recorded}"))
        }
    }
}

#[test]
fn members_and_types_are_told_apart() {
    let recorded = json!({"a": [{"b": 1}, {"c": "x"}], "d": [], "e": true});
    for (got, right) in [
        (json!({"a": [{"b": 2}], "d": [], "e": false}), true),
        (json!({"a": [{"c": "y"}, {"b": 0}], "d": [], "e": false}), true),
        (json!({"a": [], "d": [], "e": false}), false),
        (json!({"a": [{"b": "2"}], "d": [], "e": false}), false),
        (json!({"a": [{"b": 2}], "d": [1], "e": false}), false),
        (json!({"a": [{"b": 2}], "d": [], "e": 1}), false),
        (json!({"a": [{"b": 2}], "d": []}), false),
        (json!({"a": [{"b": 2}], "d": [], "e": false, "f": 1}), false),
    ] {
        assert_eq!(same("x", "", &got, &recorded).is_ok(), right, "{got}");
    }
}

/// The body of a recorded request, with some members changed.
fn request(name: &str, changes: &Value) -> Value {
    with(&value(&format!("openapi/{name}.request.json")), changes)
}

/// A query parameter's value, encoded.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

const PUSH: &str = "/v1.0/robot/oToMessages/batchSend";
const GROUP: &str = "/v1.0/robot/groupMessages/send";

/// An app in which each recorded request can succeed.
struct World {
    caller: Caller,
    group: String,
    robot: Value,
}

impl World {
    async fn new() -> Self {
        let caller = Caller::new().await;
        let group = caller.group().await;
        let robot = json!({"robotCode": caller.app.robot_code()});
        Self { caller, group, robot }
    }

    /// The key of a message to `user0001`.
    async fn pushed(&self) -> String {
        let answer = self.caller.post(PUSH, &request("batch_send_text", &self.robot)).await;
        answer["body"]["processQueryKey"].as_str().unwrap().to_owned()
    }

    fn to_group(&self) -> Value {
        with(&self.robot, &json!({"openConversationId": self.group}))
    }

    /// A card into the group.
    fn to_space(&self) -> Value {
        json!({
            "openSpaceId": format!("dtv1.card//IM_GROUP.{}", self.group),
            "imGroupOpenDeliverModel": self.robot,
        })
    }

    /// Of cards, each of which is called as its fixture.
    async fn card_answer(&self, fixture: &str) -> Value {
        let caller = &self.caller;
        match fixture {
            "card_create.response" => {
                let body = request("card_create", &json!({"outTrackId": fixture}));
                caller.post("/v1.0/card/instances", &body).await
            }
            "card_deliver.response" => {
                let id = json!({"outTrackId": fixture});
                caller.post("/v1.0/card/instances", &request("card_create", &id)).await;
                let body = request("card_deliver", &with(&self.to_space(), &id));
                caller.post("/v1.0/card/instances/deliver", &body).await
            }
            "card_create_and_deliver.response" => {
                let body = with(&self.to_space(), &json!({"outTrackId": fixture}));
                let body = request("card_create", &body);
                caller.post("/v1.0/card/instances/createAndDeliver", &body).await
            }
            "card_create_and_deliver.response_failed" => {
                let space = json!({
                    "outTrackId": fixture,
                    "openSpaceId": "dtv1.card//IM_ROBOT.cidMockDm0001==",
                    "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT"},
                });
                let body = request("card_create", &space);
                caller.post("/v1.0/card/instances/createAndDeliver", &body).await
            }
            other => panic!("no request is known for fixtures/openapi/{other}.json: add it here"),
        }
    }

    /// Sends the request that the fixture is an answer to.
    async fn answer(&self, fixture: &str) -> Value {
        let Self { caller, robot, .. } = self;
        let (app, token) = (&caller.app, &caller.token);
        let get = async |path: String| shown(caller.bare("GET", &path).send().await.unwrap()).await;
        match fixture {
            "access_token.response" => {
                let own = json!({"appKey": app.client_id(), "appSecret": app.client_secret()});
                caller.post("/v1.0/oauth2/accessToken", &request("access_token", &own)).await
            }
            "gettoken.response" => {
                let (key, secret) = (app.client_id(), app.client_secret());
                get(format!("/gettoken?appkey={key}&appsecret={secret}")).await
            }
            "corp_token.response" => {
                let path = format!("/v1.0/oauth2/{}/token", app.info().corp_id);
                let own = json!({
                    "client_id": app.client_id(), "client_secret": app.client_secret(),
                });
                caller.post(&path, &request("corp_token", &own)).await
            }
            "batch_send.response" => caller.post(PUSH, &request("batch_send_text", robot)).await,
            "batch_send.response_partial" => {
                caller.control("limits", &json!({"flowControlled": ["user0002"]})).await;
                let users = json!({"userIds": ["user0001", "user0002", "user9999"]});
                caller.post(PUSH, &request("batch_send_text", &with(robot, &users))).await
            }
            "group_send.response" => {
                caller.post(GROUP, &request("group_send", &self.to_group())).await
            }
            "oto_recall.response" => {
                let keys = json!({"processQueryKeys": [self.pushed().await, "dingmockPqk9=="]});
                let body = request("oto_recall", &with(robot, &keys));
                caller.post("/v1.0/robot/otoMessages/batchRecall", &body).await
            }
            "read_status.response" => {
                let (code, key) = (app.robot_code(), encoded(&self.pushed().await));
                let path = "/v1.0/robot/oToMessages/readStatus";
                caller.get(&format!("{path}?robotCode={code}&processQueryKey={key}")).await
            }
            "group_query.response" => {
                let sent = caller.post(GROUP, &request("group_send", &self.to_group())).await;
                let key = sent["body"]["processQueryKey"].as_str().unwrap();
                app.read("user0001", key).unwrap();
                let key = json!({"processQueryKey": key});
                let body = request("group_query", &with(&self.to_group(), &key));
                caller.post("/v1.0/robot/groupMessages/query", &body).await
            }
            "emotion_reply.response" => {
                let said = app.say("user0001", "hi").await.unwrap();
                let message = json!({
                    "openMsgId": said.msg_id, "openConversationId": said.conversation_id,
                });
                let body = request("emotion_reply", &with(robot, &message));
                caller.post("/v1.0/robot/emotion/reply", &body).await
            }
            "message_files_download.response" => {
                let file = mock_dingtalk::Media::new("a.txt", "", "bytes");
                let code = json!({"downloadCode": app.add_file(file).unwrap().download_code});
                let body = request("message_files_download", &with(robot, &code));
                caller.post("/v1.0/robot/messageFiles/download", &body).await
            }
            "media_upload.response" => {
                let query = format!("access_token={token}&type=image");
                upload(caller, &query, form(&[], "a.png", b"bytes")).await
            }
            card if card.starts_with("card_") => self.card_answer(card).await,
            "send_by_session.response" => {
                let mut bot = Bot::connect(&caller.mock, app).await;
                app.wait_connections(1).await.unwrap();
                app.say("user0001", "hi").await.unwrap();
                let webhook = data(&bot.frame().await)["sessionWebhook"].clone();
                let path = webhook.as_str().unwrap().strip_prefix(caller.mock.url()).unwrap();
                caller.post(path, &request("send_by_session_text", &json!({}))).await
            }
            "user_get.response" => {
                let path = format!("/topapi/v2/user/get?access_token={token}");
                caller.post(&path, &request("user_get", &json!({}))).await
            }
            "user_get_old.response" => {
                get(format!("/user/get?access_token={token}&userid=user0001")).await
            }
            other => panic!("no request is known for fixtures/openapi/{other}.json: add it here"),
        }
    }
}

#[tokio::test]
async fn every_recorded_success_has_the_members_and_types_of_the_mocks_answer() {
    let fixtures = names("openapi", "", ".json");
    let fixtures: Vec<&str> = fixtures
        .iter()
        .map(|name| name.trim_end_matches(".json"))
        .filter(|name| name.contains(".response"))
        .collect();
    assert!(fixtures.len() >= 19, "{fixtures:?}");
    let world = World::new().await;
    let mut wrong = Vec::new();
    for fixture in fixtures {
        let answer = world.answer(fixture).await;
        assert_eq!(answer["status"], 200, "{fixture}: {answer}");
        let recorded = value(&format!("openapi/{fixture}.json"));
        wrong.extend(same(fixture, "", &answer["body"], &recorded).err());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
