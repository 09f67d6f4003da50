//! The members of bodies that pages document or official SDKs send, call by call. What is within an
//! object is `object.member`, one level down and where it is known.

/// `subscriptions` is a list.
pub(super) const CONNECTIONS_OPEN: &[&str] =
    &["clientId", "clientSecret", "subscriptions", "ua", "localIp", "extras"];
pub(super) const ACCESS_TOKEN: &[&str] = &["appKey", "appSecret"];
pub(super) const CORP_TOKEN: &[&str] = &["client_id", "client_secret", "grant_type"];

macro_rules! message {
    ($($more:literal),*) => {
        &[
            "msgtype", "text", "text.content", "markdown", "link", "link.title", "link.text",
            "link.picUrl", "link.messageUrl", "actionCard", "feedCard", "empty", "at",
            "at.atUserIds", "at.atMobiles", "at.isAtAll", "at.atDingtalkIds", "image", "file",
            "video", "voice", $($more),*
        ]
    };
}

pub(super) const REPLY: &[&str] = message!();
pub(super) const ROBOT_SEND: &[&str] = message!("msgUuid");

pub(super) const BATCH_SEND: &[&str] = &["robotCode", "userIds", "msgKey", "msgParam"];
pub(super) const GROUP_SEND: &[&str] =
    &["robotCode", "openConversationId", "msgKey", "msgParam", "coolAppCode", "token"];
pub(super) const PRIVATE_SEND: &[&str] =
    &["robotCode", "openConversationId", "msgKey", "msgParam", "coolAppCode"];
pub(super) const DIRECT_RECALL: &[&str] = &["robotCode", "processQueryKeys"];
pub(super) const CHAT_RECALL: &[&str] = &["robotCode", "openConversationId", "processQueryKeys"];
pub(super) const READERS_OF: &[&str] =
    &["robotCode", "openConversationId", "processQueryKey", "maxResults", "nextToken"];
pub(super) const EMOTION: &[&str] = &[
    "robotCode",
    "openMsgId",
    "openConversationId",
    "emotionType",
    "emotionName",
    "textEmotion",
    "textEmotion.emotionId",
    "textEmotion.emotionName",
    "textEmotion.text",
    "textEmotion.backgroundId",
];
pub(super) const MESSAGE_FILE: &[&str] = &["robotCode", "downloadCode"];

pub(super) const USER_GET: &[&str] = &["userid", "language"];
pub(super) const USER_BY_MOBILE: &[&str] = &["mobile", "support_exclusive_account_search"];
pub(super) const USER_BY_UNION_ID: &[&str] = &["unionid"];

macro_rules! card {
    ($($more:literal),*) => {
        &[
            "outTrackId", "userIdType", "cardTemplateId", "cardData", "userId", "callbackType",
            "callbackRouteKey", "privateData", "openDynamicDataConfig", "cardAtUserIds",
            "imGroupOpenSpaceModel", "imRobotOpenSpaceModel", "imSingleOpenSpaceModel",
            "coFeedOpenSpaceModel", "topOpenSpaceModel", $($more),*
        ]
    };
}

pub(super) const CARD_CREATE: &[&str] = card!();
pub(super) const CARD_CREATE_AND_DELIVER: &[&str] = card!(
    "openSpaceId",
    "imGroupOpenDeliverModel",
    "imRobotOpenDeliverModel",
    "imSingleOpenDeliverModel",
    "coFeedOpenDeliverModel",
    "topOpenDeliverModel",
    "docOpenDeliverModel"
);
pub(super) const CARD_DELIVER: &[&str] = &[
    "outTrackId",
    "userIdType",
    "openSpaceId",
    "imGroupOpenDeliverModel",
    "imRobotOpenDeliverModel",
    "imSingleOpenDeliverModel",
    "coFeedOpenDeliverModel",
    "topOpenDeliverModel",
    "docOpenDeliverModel",
];
pub(super) const CARD_UPDATE: &[&str] = &[
    "outTrackId",
    "userIdType",
    "cardData",
    "privateData",
    "cardUpdateOptions",
    "cardUpdateOptions.updateCardDataByKey",
    "cardUpdateOptions.updatePrivateDataByKey",
];
pub(super) const CARD_SPACES: &[&str] = &[
    "outTrackId",
    "imGroupOpenSpaceModel",
    "imRobotOpenSpaceModel",
    "imSingleOpenSpaceModel",
    "coFeedOpenSpaceModel",
    "topOpenSpaceModel",
];
pub(super) const CARD_STREAMING: &[&str] =
    &["outTrackId", "guid", "key", "content", "isFull", "isFinalize", "isError"];
pub(super) const CARD_CALLBACK: &[&str] =
    &["callbackRouteKey", "callbackUrl", "apiSecret", "forceUpdate"];
/// They stand in the query.
pub(super) const CARD_TOP: &[&str] = &["outTrackId", "openConversationId"];

pub(super) const SPACE_QUERY: &[&str] = &["openConversationId", "unionId"];
pub(super) const DENTRIES: &[&str] = &["unionId", "option"];
/// Of a form.
pub(super) const MEDIA_UPLOAD: &[&str] = &["media"];
