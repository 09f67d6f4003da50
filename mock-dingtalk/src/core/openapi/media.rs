//! `POST /media/upload` and the ways to what was uploaded.

use serde_json::json;

use super::{answer::Reply, ask::Ask};
use crate::core::{
    app::{App, Cx},
    http::HttpCall,
    ids,
    journal::Diagnosis,
    media::extension,
};

const SEE: &str = "openapi.md 5.1 (KB 0646)";

/// A `type`: its name, bytes at most, and the documented extensions.
struct MediaType {
    name: &'static str,
    most: usize,
    extensions: &'static [&'static str],
    /// Extensions that no page has and clients upload all the same; `*` is any.
    also: &'static [&'static str],
}

const TYPES: [MediaType; 4] = [
    MediaType {
        name: "image",
        most: 20 << 20,
        extensions: &["jpg", "gif", "png", "bmp"],
        also: &["jpeg"],
    },
    MediaType {
        name: "voice",
        most: 2 << 20,
        extensions: &["amr", "mp3", "wav"],
        // sampleAudio asks for ogg or amr.
        also: &["ogg"],
    },
    MediaType { name: "video", most: 20 << 20, extensions: &["mp4"], also: &[] },
    MediaType {
        name: "file",
        most: 20 << 20,
        extensions: &["doc", "docx", "xls", "xlsx", "ppt", "pptx", "zip", "pdf", "rar"],
        also: &["*"],
    },
];

/// `POST /media/upload`: `type` in the query or the form, the file in the part `media`.
pub(super) fn upload(cx: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let named = ask.call.query("type").or_else(|| ask.form.and_then(|form| form.text("type")));
    let named = named.unwrap_or_default();
    let Some(kind) = TYPES.iter().find(|kind| kind.name == named) else {
        let problem = format!("type is {named:?}");
        return Err(refuse(40004, "不合法的媒体文件类型", problem, "image, voice, video or file"));
    };
    let part = ask.form.and_then(|form| form.file("media"));
    let part = part.filter(|part| !part.bytes.is_empty());
    let Some(part) = part else {
        let problem = "there is no part media with bytes in it";
        let expected = "multipart/form-data with a file in the part media";
        return Err(refuse(44001, "多媒体文件为空", problem, expected));
    };
    let name = part.file_name.as_deref().unwrap_or_default();
    let extension = extension(name);
    let documented = kind.extensions.contains(&extension.as_str());
    let also = kind.also.contains(&extension.as_str()) || kind.also == ["*"];
    if extension.is_empty() || !(documented || also) {
        let problem = format!("the file is named {name:?}");
        return Err(refuse(40005, "不合法的文件类型", problem, kind.extensions.join(", ")));
    }
    if part.bytes.len() > kind.most {
        let problem = format!("the file has {} bytes", part.bytes.len());
        return Err(refuse(40006, "不合法的文件大小", problem, format!("at most {}", kind.most)));
    }
    // A part is a slice of the whole request; what is kept shall not hold on to the rest.
    let bytes = bytes::Bytes::copy_from_slice(&part.bytes);
    let media = app.api.media.upload(&mut app.mint, app.number, kind.name, name, bytes);
    let reply = Reply::ok(json!({
        "errcode": 0,
        "errmsg": "ok",
        "type": kind.name,
        "media_id": media.id,
        "created_at": cx.now.unix_ms,
    }));
    if documented {
        return Ok(reply);
    }
    let problem = format!("no page lists .{extension} for type {}", kind.name);
    Ok(reply.diagnosed(Diagnosis::new(problem, kind.extensions.join(", "), SEE)))
}

/// `GET /media/downloadFile?access_token=&media_id=`.
pub(super) fn download(_: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let id = ask.call.query("media_id").unwrap_or_default();
    serve(app, &id).ok_or_else(|| {
        let problem = format!("the app uploaded no {id:?}");
        refuse(40007, "不合法的媒体文件id", problem, "a media_id of media/upload")
    })
}

/// `GET /media/{id}`, as on down.dingtalk.com. What that host answers to a wrong id is not
/// known; 404 is this mock's choice.
pub(super) fn public(app: Option<&mut App>, id: &str) -> Reply {
    app.and_then(|app| serve(app, id)).unwrap_or_else(|| {
        let problem = format!("nobody uploaded {id:?}");
        Reply::page(404).diagnosed(Diagnosis::new(problem, "a media_id of media/upload", SEE))
    })
}

fn serve(app: &App, id: &str) -> Option<Reply> {
    let media = app.api.media.get(id).filter(|media| media.expires.is_none())?;
    Some(Reply::file(media.content_type(), app.as_served(media)))
}

/// The app's number inside a media id, whatever its prefix.
pub(super) fn owner(id: &str) -> Option<crate::core::AppNumber> {
    ids::owner(&id[id.find("dingmock")?..])
}

/// The token of a call to the old host: in the query or, as curl examples have it, in the form.
pub(super) fn token(call: &HttpCall, form: Option<&super::Form>) -> Option<String> {
    let token = call.query("access_token").or_else(|| form?.text("access_token"));
    token.filter(|token| !token.is_empty())
}

fn refuse(
    errcode: i64,
    errmsg: &str,
    problem: impl Into<String>,
    expected: impl Into<String>,
) -> Reply {
    Reply::errcode(errcode, errmsg).diagnosed(Diagnosis::new(problem, expected, SEE))
}
