//! Every documented code, by a fault: those that no request and no state of the mock can cause
//! are had in this way (openapi.md 0.3 and the lists of each call).

use mock_dingtalk::{Action, Fault, When};
use serde_json::{Value, json};

use crate::caller::{Caller, shown, with};

/// Codes of the new host that come with another status than 400.
const STATUS: &[(u16, &str)] = &[
    (401, "unauthorized.client"),
    (500, "server.error"),
    (403, "Forbidden.AccessDenied.AccessTokenPermissionDenied"),
    (403, "Forbidden.AccessDenied.IpNotInWhiteList"),
    (403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"),
    (403, "Forbidden.AccessDenied.QpmLimitForAppkeyAndApi"),
    (403, "Forbidden.AccessDenied.QpsLimitForApi"),
    (403, "Forbidden.AccessDenied.QpsLimitForSuitekeyAndOrgAndApi"),
    (403, "Forbidden.AccessDenied.QpmLimitForSuitekeyAndOrgAndApi"),
    (403, "Forbidden.AccessDenied.ApiCountLimitForOrg"),
    (429, "system.busy"),
    (429, "systemBusy"),
    (500, "system.error"),
    (500, "system.busy"),
    (500, "unknownError"),
    (500, "send.ding.exception"),
];

/// Codes of the new host with status 400.
const BAD_REQUEST: &[&str] = &[
    "InvalidAuthentication",
    "invalidClientIdOrSecret",
    "invalid.client",
    "unsupported.grant.type",
    "invalidParameter.robotCode.empty",
    "invalidParameter.robotCode.invalid",
    "invalidParameter.robotCode.notExsit",
    "invalidParameter.robotCode.auth",
    "invalidParameter.robotCode.coolApp",
    "invalidParameter.robotCode.downloadCode",
    "invalidParameter.robotCode",
    "invalidParameter.userIds.empty",
    "invalidParameter.userIds.overMax",
    "invalidParameter.userId.empty",
    "invalidParameter.msgKey.empty",
    "invalidParameter.msgKey.invalid",
    "invalidParameter.msgParam.invalid",
    "invalidParameter.msgParam.tooLong",
    "invalidParameter.msgBody.invalid",
    "invalidParameter.msg.unsupport",
    "invalidParameter.param.invalid",
    "invalidParameter.token.invalid",
    "invalidParameter.processQueryKeys.overMax",
    "invalidParameter.processQueryKey.missing",
    "invalidParameter.pageSize.invalid",
    "token.notExisted",
    "template.not.existed",
    "template.stopped",
    "miss.param.text",
    "miss.param.contentOfText",
    "miss.param.link",
    "miss.param.textOfLink",
    "miss.param.titleOfLink",
    "miss.param.messageUrlOfLink",
    "miss.param.markdown",
    "miss.param.markdownTotitle",
    "miss.param.markdownTotext",
    "miss.param.photo",
    "miss.param.photoTophotoUrl",
    "miss.param.image",
    "miss.param.file",
    "miss.param.video",
    "miss.param.audio",
    "send.too.fast",
    "send.byToken.tooFast",
    "too.many.people",
    "too.many.group",
    "send.forbidden",
    "contain.unsafe.url",
    "contain.notAllowed.text",
    "contain.notAllowed.picture",
    "contain.notAllowed.content",
    "staffId.notExisted",
    "chatbotId.notAllow.sendOTO",
    "robot.oto.notExist",
    "sendMessage.model.notMatch",
    "illegal.receivers",
    "receivers.exceed",
    "bot.forbidden.sendMessage",
    "session.notExisted",
    "session.expired",
    "resource.not.found",
    "miss.openConversationId",
    "invalid.openConversationId",
    "group.disbanded",
    "bot.stopped",
    "only.groupAdmin.canAtAll",
    "conversation.org.notMatch",
    "resource.unavailable",
    "unauthorized",
    "auth.error",
    "unknown.send.result",
    "invalid.processQueryKey",
    "robot.processQueryKey.expired",
    "not.allowed.robotCode",
    "notRevoke.all.messages",
    "miss.chatbotId",
    "processQueryKey.expireTime",
    "system.err",
    "param.empty",
    "param.outTrackIdEmpty",
    "param.cardTemplateIdEmpty",
    "param.cardPublicDataEmpty",
    "param.cardDataAndPrivateDataBothEmpty",
    "param.openSpaceIdEmpty",
    "param.openSpaceIdInvalid",
    "param.openSpaceModelInvalid",
    "param.openDeliverModelEmpty",
    "param.openDeliverModelError",
    "param.userIdEmpty",
    "param.userIdNotExist",
    "param.cardNotExist",
    "param.cardAlreadyExist",
    "param.templateNotExist",
    "param.templateUnpublished",
    "param.contentUnsafe",
    "param.invalid",
    "param.stream.keyEmpty",
    "param.stream.contentEmpty",
    "param.stream.guidEmpty",
    "param.stream.outTrackId",
    "param.stream.isFull",
    "param.stream.content",
];

/// Codes of the old host, all with status 200.
const ERRCODES: &[i64] = &[
    -1, 88, 40001, 40004, 40005, 40006, 40007, 40014, 40035, 40089, 40096, 40104, 41001, 42001,
    43004, 44001, 45001, 34010, 34011, 33012, 60011, 60121, 90002, 90018, 90020, 101_002, 130_101,
    300_001, 300_005, 310_000, 400_002, 400_013, 400_101, 400_102, 400_105, 400_106, 410_100,
    430_101, 430_102, 430_103, 430_104, 460_101, 500_100,
];

#[tokio::test]
async fn every_documented_code_is_to_be_had_in_its_hosts_shape() {
    let caller = Caller::new().await;
    let code = async |path: &str, status: u16, code: String| -> Value {
        let message = format!("it is {code}");
        let action = Action::Code { status, code, message, required_scopes: Vec::new() };
        caller.app.fault(Fault::first(1, When::Path(path.to_owned()), action)).unwrap();
        let query = format!("{path}?access_token={}", caller.token);
        shown(caller.request("POST", &query).json(&json!({})).send().await.unwrap()).await
    };
    let new = BAD_REQUEST.iter().map(|code| (400, *code)).chain(STATUS.iter().copied());
    for (status, name) in new {
        let answer = code("/v1.0/robot/oToMessages/batchSend", status, name.to_owned()).await;
        let body = json!({"code": name, "message": format!("it is {name}")});
        assert_eq!(answer, json!({"status": status, "body": body}));
    }
    for path in ["/topapi/v2/user/get", "/media/upload"] {
        for errcode in ERRCODES {
            let answer = code(path, 400, errcode.to_string()).await;
            let body = json!({"errcode": errcode, "errmsg": format!("it is {errcode}")});
            assert_eq!(answer, json!({"status": 200, "body": body}), "{path}");
        }
    }
    assert!(caller.app.faults().unwrap().iter().all(|fault| fault.hits == 1));
}

#[tokio::test]
async fn a_refusal_can_name_the_permissions_and_an_address_can_be_blocked() {
    let caller = Caller::new().await;
    let path = "/v1.0/card/streaming";
    let code = "Forbidden.AccessDenied.AccessTokenPermissionDenied";
    let fault = async |action: Value| {
        let fault = json!({"when": {"path": path}, "action": action});
        caller.control("faults", &fault).await;
        shown(caller.request("PUT", path).json(&json!({})).send().await.unwrap()).await
    };
    let scopes = json!(["Card.Streaming.Write"]);
    let action = json!({"type": "code", "status": 403, "code": code, "requiredScopes": scopes});
    let answer = fault(action.clone()).await;
    let detail = json!({"requiredScopes": scopes});
    let body = json!({"code": code, "message": code, "accessdenieddetail": detail});
    assert_eq!(answer, json!({"status": 403, "body": body}));
    let listed = caller.control("faults", &Value::Null).await;
    assert_eq!(listed[0]["action"]["requiredScopes"], scopes, "{listed}");
    let mut answer = fault(json!({"type": "status", "status": 403, "body": "blocked"})).await;
    let uuid = answer["body"]["uuid"].take();
    assert_eq!(uuid.as_str().map(str::len), Some(32));
    let body = json!({"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": null});
    assert_eq!(answer, json!({"status": 403, "body": body}));
    let wrong = with(&action, &json!({"requiredScopes": vec!["x"; 101]}));
    let path = format!("/_mock/apps/{}/faults", caller.app.client_id());
    let wrong = json!({"when": "open", "action": wrong});
    let refused = caller.bare("POST", &path).json(&wrong).send().await.unwrap();
    assert_eq!(refused.status(), 400);
}
