//! `/v1.0/card/…`: AI cards, whose words grow while an agent speaks.
//!
//! Delivered, a card is *processing*; the first streamed words make it *inputing*, `isFinalize`
//! *finished*, `isError` *failed*, and nothing streamed after that changes it (互动卡片, AI 卡片).

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{OpenApiClient, OpenApiError};
use crate::protocol::{ConversationId, ProcessQueryKey, RobotCode, SenderStaffId};

/// A card to make.
#[derive(Debug, Clone)]
pub struct CreateCard<'a> {
    /// `cardTemplateId`.
    pub template_id: &'a str,
    /// `outTrackId`: names the card from now on. Unique in the app.
    pub out_track_id: &'a str,
    /// The template's variable that will hold the words.
    pub key: &'a str,
    /// The robot that shows it.
    pub robot_code: &'a RobotCode,
    /// The chat that it is shown in.
    pub space: CardSpace<'a>,
}

/// Where a card is shown: `openSpaceId` without its `dtv1.card//`.
#[derive(Debug, Clone, Copy)]
pub enum CardSpace<'a> {
    /// `IM_GROUP.<openConversationId>`.
    Group(&'a ConversationId),
    /// `IM_ROBOT.<userId>`: the chat of one person with the robot. A conversation id is refused here.
    Robot(&'a SenderStaffId),
}

/// Words of a card, whole and not only what is new, as Markdown needs it (`isFull`).
#[derive(Debug, Clone, Copy)]
pub struct CardFrame<'a> {
    /// `guid`: the same when the same call is repeated, so that it counts once.
    pub guid: &'a str,
    /// The template's variable that holds the words.
    pub key: &'a str,
    /// The words so far. The page recommends at most 3 KB; DingTalk refuses far more only.
    pub content: &'a str,
    /// What becomes of the card.
    pub stage: CardStage,
}

/// What a frame makes of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardStage {
    /// More follows.
    Inputing,
    /// `isFinalize`: nothing follows.
    Finished,
    /// `isError`: nothing follows, and it went wrong.
    Failed,
}

impl CardStage {
    /// `flowStatus` among a card's variables.
    fn flow_status(self) -> &'static str {
        match self {
            Self::Inputing => "2",
            Self::Finished => "3",
            Self::Failed => "5",
        }
    }
}

impl OpenApiClient {
    /// `POST /v1.0/card/instances/createAndDeliver`: makes a card without words and shows it
    /// (创建并投放卡片). Presses on it come by the stream. Returns its `carrierId`, by which quotes of it
    /// name it.
    ///
    /// A repeated call fails with `param.cardAlreadyExist`: see [`OpenApiError::is_card_there`]. A
    /// delivery that fails inside HTTP 200 is [`OpenApiError::Declined`], and nobody sees the card.
    /// Made only if the call budget has room.
    pub async fn create_and_deliver_card(
        &self,
        card: &CreateCard<'_>,
    ) -> Result<Option<ProcessQueryKey>, OpenApiError> {
        const CALL: &str = "POST /v1.0/card/instances/createAndDeliver";
        let robot_code = card.robot_code.as_str();
        let extension = json!({ "dynamicSummary": "true" });
        let (space, model, deliver) = match card.space {
            CardSpace::Group(group) => (
                format!("dtv1.card//IM_GROUP.{}", group.as_str()),
                "imGroupOpenDeliverModel",
                json!({ "robotCode": robot_code, "extension": extension }),
            ),
            CardSpace::Robot(user) => (
                format!("dtv1.card//IM_ROBOT.{}", user.as_str()),
                "imRobotOpenDeliverModel",
                json!({
                    "spaceType": "IM_ROBOT", "robotCode": robot_code, "extension": extension,
                }),
            ),
        };
        let mut body = json!({
            "cardTemplateId": card.template_id,
            "outTrackId": card.out_track_id,
            "cardData": { "cardParamMap": { "flowStatus": "1", card.key: "" } },
            "callbackType": "STREAM",
            "imGroupOpenSpaceModel": { "supportForward": true },
            "imRobotOpenSpaceModel": { "supportForward": true },
            "userIdType": 1,
            "openSpaceId": space,
        });
        body[model] = deliver;
        let path = "/v1.0/card/instances/createAndDeliver";
        let answer = self.send_if_spare(&Method::POST, CALL, path, &body).await?;
        let results = answer["result"]["deliverResults"].as_array().map(Vec::as_slice);
        let failed = |result: &&Value| result["success"].as_bool() == Some(false);
        let results = results.unwrap_or_default();
        match results.iter().find(failed) {
            None => {
                let carrier = results.iter().find_map(|result| result["carrierId"].as_str());
                Ok(carrier.filter(|id| !id.is_empty()).map(ProcessQueryKey::new))
            }
            Some(result) => {
                let why = result["errorMsg"].as_str().unwrap_or("no errorMsg");
                Err(self.card_problem(CALL, format!("the card was not delivered: {why}")))
            }
        }
    }

    /// `PUT /v1.0/card/streaming`: a card's words so far (AI 卡片流式更新). Words after which more follows
    /// are sent only if the call budget has room; the last ones wait for their turn.
    pub async fn stream_card(
        &self,
        out_track_id: &str,
        frame: &CardFrame<'_>,
    ) -> Result<(), OpenApiError> {
        const CALL: &str = "PUT /v1.0/card/streaming";
        let body = json!({
            "outTrackId": out_track_id,
            "guid": frame.guid,
            "key": frame.key,
            "content": frame.content,
            "isFull": true,
            "isFinalize": frame.stage == CardStage::Finished,
            "isError": frame.stage == CardStage::Failed,
        });
        let path = "/v1.0/card/streaming";
        let answer = if frame.stage == CardStage::Inputing {
            self.send_if_spare(&Method::PUT, CALL, path, &body).await?
        } else {
            self.put_with_token(CALL, path, &body).await?
        };
        self.card_changed(CALL, &answer)
    }

    /// `PUT /v1.0/card/instances`: words and stage of a card, of a final one too; its other variables
    /// stay (更新卡片).
    pub async fn update_card(
        &self,
        out_track_id: &str,
        key: &str,
        content: &str,
        stage: CardStage,
    ) -> Result<(), OpenApiError> {
        const CALL: &str = "PUT /v1.0/card/instances";
        let mut params = Map::new();
        params.insert(key.to_owned(), content.into());
        params.insert("flowStatus".to_owned(), stage.flow_status().into());
        let body = json!({
            "outTrackId": out_track_id,
            "cardData": { "cardParamMap": params },
            "cardUpdateOptions": { "updateCardDataByKey": true },
            "userIdType": 1,
        });
        let answer = self.put_with_token(CALL, "/v1.0/card/instances", &body).await?;
        self.card_changed(CALL, &answer)
    }

    /// `{"success": false}` inside HTTP 200 is a failure, too.
    fn card_changed(&self, call: &'static str, answer: &Value) -> Result<(), OpenApiError> {
        if answer["success"].as_bool() == Some(false) || answer["result"].as_bool() == Some(false) {
            return Err(self.card_problem(call, "the card was not changed".to_owned()));
        }
        Ok(())
    }

    fn card_problem(&self, call: &'static str, problem: String) -> OpenApiError {
        let host = self.endpoints.openapi.host_str().unwrap_or_default().to_owned();
        OpenApiError::Declined { call, host, problem }
    }
}

impl OpenApiError {
    /// Whether a card could not be made since it is there already (`param.cardAlreadyExist`): the call
    /// was a repetition.
    pub fn is_card_there(&self) -> bool {
        self.code() == "param.cardAlreadyExist"
    }

    /// Whether there is no such card (`param.stream.outTrackId`, `param.cardNotExist`).
    pub fn is_card_missing(&self) -> bool {
        matches!(self.code(), "param.stream.outTrackId" | "param.cardNotExist")
    }

    /// Whether the app may not do this: a permission is missing, its address is not on the list, the
    /// month's calls are used up. Limits per second and minute are something else.
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Status { status: 403, code, .. }
            if !code.contains("Qps") && !code.contains("Qpm"))
    }
}
