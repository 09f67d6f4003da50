//! Paths at which there is nothing, on each host, and known ones on the other host.

use serde_json::json;

use super::Page;
use crate::caller::Caller;

#[tokio::test]
async fn what_is_not_there() {
    let caller = Caller::new().await;
    let mut page = Page::new(&caller, "not", "found");
    let (api, oapi) = ("api.dingtalk.com", "oapi.dingtalk.com");
    for (method, host, path) in [
        ("POST", "", "/v1.0/no/such"),
        ("POST", api, "/v1.0/no/such"),
        ("POST", oapi, "/v1.0/no/such"),
        ("POST", api, "/v2.0/no/such"),
        ("POST", "", "/no/such"),
        ("POST", api, "/no/such"),
        ("POST", oapi, "/no/such"),
        ("POST", "", "/topapi/no/such"),
        ("POST", api, "/topapi/no/such"),
        ("POST", oapi, "/topapi/no/such"),
        ("GET", oapi, "/topapi/v2/user/get"),
        ("GET", "", "/v1.0/oauth2/accessToken"),
        ("POST", "", "/gettoken"),
        ("PUT", api, "/v1.0/robot/groupMessages/send"),
        ("POST", api, "/v1.0/card/streaming"),
        ("POST", api, "/v1.0/robot/otoMessages/batchSend"),
        ("POST", api, "/v1.0/robot/GroupMessages/send"),
        ("POST", oapi, "/robot/sendbysession"),
        ("POST", oapi, "/topapi/v2/user/getByMobile"),
        ("POST", api, "/v1.0/robot/groupMessages/send/"),
        ("POST", api, "/v1.0/storage/spaces//dentries/listAll"),
        ("POST", api, "/v1.0/robot/messageFiles/upload"),
        ("POST", api, "/v1.0/robot/groupMessages/batchRecall"),
        ("GET", api, "/v1.0/doc/spaces/1/docs"),
        ("POST", api, "/v1.0/im/v1.0/robot/interactiveCards/send"),
        ("POST", oapi, "/app/registration/init"),
        ("POST", oapi, "/file/upload/chunk"),
        ("POST", oapi, "/v1.0/oauth2/accessToken"),
        ("GET", api, "/gettoken"),
        ("POST", api, "/topapi/v2/user/get"),
    ] {
        let mut request = caller.request(method, path).json(&json!({}));
        if !host.is_empty() {
            request = request.header("host", host);
        }
        page.case(format!("{method} {host}{path}").trim(), request).await;
    }
    page.done();
}
