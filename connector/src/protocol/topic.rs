//! Topics of frames and subscriptions.

/// SYSTEM: the gateway asks for a sign of life; the same `data` goes back.
pub const PING: &str = "ping";
/// SYSTEM: the gateway will close this connection within 10 s and pushes nothing more on it.
pub const DISCONNECT: &str = "disconnect";
/// CALLBACK: somebody wrote to the robot (机器人收消息).
pub const BOT_MESSAGE: &str = "/v1.0/im/bot/messages/get";
/// CALLBACK: somebody wrote to a person for whom the robot answers (托管). Undocumented; the official Python SDK
/// has it (`ChatbotMessage.DELEGATE_TOPIC`), and its `data` is that of [`BOT_MESSAGE`].
pub const DELEGATE_MESSAGE: &str = "/v1.0/im/bot/messages/delegate";
/// CALLBACK: somebody pressed something on a card (卡片回调); to be answered within 2 s.
pub const CARD_CALLBACK: &str = "/v1.0/card/instances/callback";
