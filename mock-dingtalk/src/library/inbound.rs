//! What people send besides words, and what else is pushed.

use serde_json::Value;

use super::App;
use crate::{
    core::{Callback, Content, Event, Media, Quote, Said, Speech, Variants},
    error::MockError,
};

#[expect(clippy::unused_async, reason = "verbs of people are awaited, as over HTTP")]
impl App {
    /// A person sends something, with every choice.
    pub async fn speak(&self, speech: &Speech) -> Result<Said, MockError> {
        self.act(|app, cx| app.speak(cx, speech))
    }

    /// A person sends something in their direct chat.
    pub async fn send(&self, user: &str, content: Content) -> Result<Said, MockError> {
        self.speak(&Speech::new(user, content)).await
    }

    /// A person sends a picture.
    pub async fn say_picture(&self, user: &str, picture: Media) -> Result<Said, MockError> {
        self.send(user, Content::picture(picture)).await
    }

    /// A person sends a voice message, of which DingTalk understood `recognition`.
    pub async fn say_audio(
        &self,
        user: &str,
        audio: Media,
        recognition: &str,
    ) -> Result<Said, MockError> {
        self.send(user, Content::audio(audio, recognition)).await
    }

    /// A person sends a video.
    pub async fn say_video(&self, user: &str, video: Media) -> Result<Said, MockError> {
        self.send(user, Content::video(video)).await
    }

    /// A person sends a file.
    pub async fn say_file(&self, user: &str, file: Media) -> Result<Said, MockError> {
        self.send(user, Content::file(file)).await
    }

    /// A person sends text and pictures in one message; see [`Content::rich_text`].
    pub async fn say_rich_text(
        &self,
        user: &str,
        parts: Vec<Value>,
        media: Vec<Media>,
    ) -> Result<Said, MockError> {
        self.send(user, Content::rich_text(parts, media)).await
    }

    /// A person answers to a message with words.
    pub async fn say_quoting(
        &self,
        user: &str,
        text: &str,
        quote: Quote,
    ) -> Result<Said, MockError> {
        self.speak(&Speech::new(user, Content::text(text)).quote(quote)).await
    }

    /// A person speaks after the month's quota is spent: the robot gets no words.
    pub async fn say_over_quota(&self, user: &str, text: &str) -> Result<Said, MockError> {
        let variants = Variants { quota_exhausted: true, ..Variants::default() };
        self.speak(&Speech::new(user, Content::text(text)).variants(variants)).await
    }

    /// The file behind a `downloadCode` that a frame carried, as long as it is kept.
    pub fn inbound_media(&self, download_code: &str) -> Result<Option<Media>, MockError> {
        self.look(|app| {
            let kept = app.api.media.get(download_code)?;
            Some(Media::new(kept.name.clone(), kept.mime_type(), kept.bytes.clone()))
        })
    }

    /// Something happens in the corporation: an EVENT frame.
    pub fn event(&self, event: &Event) -> Result<Said, MockError> {
        self.act(|app, cx| app.event(cx, event))
    }

    /// A person read a message of the robot: EVENT `robot_msg_read`.
    pub fn robot_msg_read(&self, user: &str, process_query_key: &str) -> Result<Said, MockError> {
        self.act(|app, cx| app.robot_message_event(cx, "robot_msg_read", user, process_query_key))
    }

    /// A message of the robot was recalled: EVENT `robot_msg_recall`.
    pub fn robot_msg_recall(&self, user: &str, process_query_key: &str) -> Result<Said, MockError> {
        self.act(|app, cx| app.robot_message_event(cx, "robot_msg_recall", user, process_query_key))
    }

    /// A callback of any topic, such as [`Callback::graph`] and [`Callback::dynamic_data`].
    pub fn callback(&self, callback: &Callback) -> Result<Said, MockError> {
        self.act(|app, cx| app.callback(cx, callback))
    }
}
