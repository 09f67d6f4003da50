//! Files of chats as DingTalk's drive (钉盘) has them: what a message names by `spaceId` and `fileId` instead of
//! a `downloadCode`.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::access_token::{AccessToken, missing};
use super::{OpenApiClient, OpenApiError, answer};
use crate::protocol::{DrivePlace, SenderStaffId};

/// Where a file can be fetched for 15 minutes.
#[derive(Debug)]
pub struct DriveFile {
    /// Its address.
    pub url: Url,
    /// Headers that must go with it: they hold the signature.
    pub headers: HeaderMap,
}

impl OpenApiClient {
    /// `POST /topapi/v2/user/get` (查询用户详情): the `unionid` of a person, by which the drive knows people.
    pub async fn union_id(&self, user: &SenderStaffId) -> Result<String, OpenApiError> {
        const CALL: &str = "POST /topapi/v2/user/get";
        let body = json!({ "userid": user.as_str() });
        let answer = self.post_with_token_in_query(CALL, "/topapi/v2/user/get", &body).await?;
        let union_id = answer["result"]["unionid"].as_str().map(str::to_owned);
        union_id.ok_or_else(|| self.incomprehensible(CALL, missing("result.unionid", &answer)))
    }

    /// `POST /v1.0/storage/spaces/{spaceId}/dentries/{dentryId}/downloadInfos/query` (获取文件下载信息): where a file
    /// is, for a person who may see it.
    pub async fn drive_file(
        &self,
        place: &DrivePlace,
        union_id: &str,
    ) -> Result<DriveFile, OpenApiError> {
        const CALL: &str =
            "POST /v1.0/storage/spaces/{spaceId}/dentries/{dentryId}/downloadInfos/query";
        let mut url = self.openapi("");
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1.0", "storage", "spaces", &place.space_id]);
            path.extend(["dentries", &place.file_id, "downloadInfos", "query"]);
        }
        url.query_pairs_mut().append_pair("unionId", union_id);
        let answer = self.send_with_token(&Method::POST, CALL, &url, &json!({})).await?;
        let info = &answer["headerSignatureInfo"];
        let address = info["resourceUrls"][0].as_str().and_then(|url| Url::parse(url).ok());
        let address = address.ok_or_else(|| {
            self.incomprehensible(CALL, missing("headerSignatureInfo.resourceUrls", &answer))
        })?;
        Ok(DriveFile { url: address, headers: headers(&info["headers"]) })
    }

    fn incomprehensible(&self, call: &'static str, problem: String) -> OpenApiError {
        let host = self.endpoints.openapi.host_str().unwrap_or_default().to_owned();
        OpenApiError::Incomprehensible { call, host, status: 200, problem }
    }

    /// POSTs to the old host, which wants the access token in the query, so that the address is never
    /// logged.
    async fn post_with_token_in_query(
        &self,
        call: &'static str,
        path: &str,
        body: &Value,
    ) -> Result<Value, OpenApiError> {
        let send = async |token: AccessToken| {
            let mut url = self.oapi(path);
            url.query_pairs_mut().append_pair("access_token", token.reveal());
            let host = url.host_str().unwrap_or_default().to_owned();
            let request = self.http.post(url).header("accept", "application/json").json(body);
            let sent = request.send().await;
            let response = sent.map_err(|e| OpenApiError::transport(call, &host, e))?;
            answer::read(call, &host, response).await
        };
        self.with_token(call, send).await
    }
}

/// What a header cannot hold is left out; the storage then says that it is missing.
fn headers(given: &Value) -> HeaderMap {
    let given = given.as_object().into_iter().flatten();
    given
        .filter_map(|(name, value)| {
            let name = HeaderName::try_from(name.as_str()).ok()?;
            let mut value = HeaderValue::try_from(value.as_str()?).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        })
        .collect()
}
