//! `mock-dingtalk say`: a person speaks.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::{Value, json};

use super::{
    arguments,
    client::{Client, OfApp},
    exit_code::Exit,
    print,
};

/// A person speaks to the robot.
#[derive(Debug, Args)]
pub(super) struct Say {
    #[command(flatten)]
    of: OfApp,
    /// Who speaks; an unknown id is a new person.
    #[arg(long, value_name = "USER", default_value = "user0001")]
    from: String,
    /// In the group with this title, which is made if need be.
    #[arg(long, value_name = "TITLE", conflicts_with = "conversation")]
    group: Option<String>,
    /// In this chat, by its id.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// What kind of message; told from the file's name if there is one, else `text`.
    #[arg(long)]
    msgtype: Option<String>,
    /// A file that comes with it.
    #[arg(long, value_name = "FILE")]
    media: Option<PathBuf>,
    /// Members of the message's `content`.
    #[arg(long, value_name = "JSON")]
    content: Option<String>,
    /// Push this fixture instead.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["text", "from", "group", "conversation", "msgtype", "media", "content"])]
    fixture: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The words.
    #[arg(required_unless_present_any = ["fixture", "media", "content"])]
    text: Option<String>,
}

/// Larger files are refused by the mock too.
pub(super) const MAX_MEDIA: u64 = 20 << 20;

impl Say {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        // What is wrong with the arguments is said before anybody is asked.
        let mut body = self.body()?;
        let (client, app) = self.of.find().await?;
        if let Some(id) = &self.conversation {
            body["conversation"] = json!({ "type": kind_of(&client, &app, id).await?, "id": id });
        }
        let said = client.post(client.at(&["apps", &app, "messages"]), &body).await?;
        let columns =
            [("STATE", "/state"), ("MSGID", "/msgId"), ("CONVERSATION", "/conversationId")];
        print::said(&said, "message", &columns, self.json)?;
        Ok(ExitCode::SUCCESS)
    }

    fn body(&self) -> Result<Value, Exit> {
        if let Some(name) = &self.fixture {
            return Ok(json!({ "fixture": name }));
        }
        let mut body = json!({ "from": self.from });
        if let Some(text) = &self.text {
            body["text"] = text.as_str().into();
        }
        if let Some(title) = &self.group {
            body["conversation"] = json!({ "type": "2", "title": title });
        }
        if let Some(content) = &self.content {
            body["content"] = arguments::json("--content", content)?;
        }
        let mut msgtype = self.msgtype.as_deref();
        if let Some(path) = &self.media {
            let bytes = arguments::file(path, MAX_MEDIA)?;
            body["media"] =
                json!({ "base64": STANDARD.encode(bytes), "name": arguments::file_name(path) });
            msgtype = msgtype.or_else(|| Some(msgtype_of(path)));
        }
        if let Some(msgtype) = msgtype {
            body["msgtype"] = msgtype.into();
        }
        Ok(body)
    }
}

/// `conversationType` of a chat that the app has.
async fn kind_of(client: &Client, app: &str, id: &str) -> Result<Value, Exit> {
    let shown = client.get(client.at(&["apps", app])).await?;
    let chats = shown["conversations"].as_array();
    let chat = chats.into_iter().flatten().find(|chat| chat["id"] == id);
    chat.map(|chat| chat["type"].clone()).ok_or_else(|| {
        Exit::failed(format!("the app has no chat `{id}`; --group TITLE makes a group"))
    })
}

/// What a chat client would send such a file as.
fn msgtype_of(path: &Path) -> &'static str {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "png" | "jpg" | "jpeg" | "gif" | "bmp" => "picture",
        "amr" | "wav" | "mp3" | "ogg" => "audio",
        "mp4" => "video",
        _ => "file",
    }
}
