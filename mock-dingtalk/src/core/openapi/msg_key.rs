//! `msgKey` and `msgParam`: messages of the robot API.

use serde_json::{Map, Value};

use super::{
    answer::Reply,
    ask::{Fields, refuse},
};
use crate::core::{app::App, journal::Diagnosis};

const SEE: &str = "openapi.md 4.1 and 4.8 (KB 0714, KB 0699)";

/// A `msgKey`: its name, the `msgtype` it appears as, the member people read, and the members of
/// `msgParam` that it needs with the error code for a missing one.
struct Template {
    key: &'static str,
    msgtype: &'static str,
    text: &'static str,
    needs: &'static [(&'static str, &'static str)],
}

const INVALID: &str = "invalidParameter.msgParam.invalid";
/// The page has more codes that begin so, one for each member; their names are not to be had.
const ACTION_CARD: &str = "miss.param.actionCard";
const VIDEO: &str = "miss.param.video";

const TEMPLATES: [Template; 13] = [
    Template {
        key: "sampleText",
        msgtype: "text",
        text: "content",
        needs: &[("content", "miss.param.contentOfText")],
    },
    Template {
        key: "sampleMarkdown",
        msgtype: "markdown",
        text: "text",
        needs: &[("title", "miss.param.markdownTotitle"), ("text", "miss.param.markdownTotext")],
    },
    Template {
        key: "sampleImageMsg",
        msgtype: "image",
        text: "",
        needs: &[("photoURL", "miss.param.photoTophotoUrl")],
    },
    Template {
        key: "sampleLink",
        msgtype: "link",
        text: "text",
        needs: &[
            ("title", "miss.param.titleOfLink"),
            ("text", "miss.param.textOfLink"),
            ("messageUrl", "miss.param.messageUrlOfLink"),
        ],
    },
    Template {
        key: "sampleActionCard",
        msgtype: "actionCard",
        text: "text",
        needs: &[
            ("title", ACTION_CARD),
            ("text", ACTION_CARD),
            ("singleTitle", ACTION_CARD),
            ("singleURL", ACTION_CARD),
        ],
    },
    Template { key: "sampleActionCard2", msgtype: "actionCard", text: "text", needs: buttons(2) },
    Template { key: "sampleActionCard3", msgtype: "actionCard", text: "text", needs: buttons(3) },
    Template { key: "sampleActionCard4", msgtype: "actionCard", text: "text", needs: buttons(4) },
    Template { key: "sampleActionCard5", msgtype: "actionCard", text: "text", needs: buttons(5) },
    Template {
        key: "sampleActionCard6",
        msgtype: "actionCard",
        text: "text",
        needs: &[
            ("title", ACTION_CARD),
            ("text", ACTION_CARD),
            ("buttonTitle1", ACTION_CARD),
            ("buttonUrl1", ACTION_CARD),
            ("buttonTitle2", ACTION_CARD),
            ("buttonUrl2", ACTION_CARD),
        ],
    },
    Template {
        key: "sampleAudio",
        msgtype: "audio",
        text: "",
        needs: &[("mediaId", "miss.param.audio"), ("duration", "miss.param.audio")],
    },
    Template {
        key: "sampleFile",
        msgtype: "file",
        text: "fileName",
        needs: &[
            ("mediaId", "miss.param.file"),
            ("fileName", "miss.param.file"),
            ("fileType", "miss.param.file"),
        ],
    },
    // `picMediaId` has to be there and may be empty: a plugin in use sends it so.
    Template {
        key: "sampleVideo",
        msgtype: "video",
        text: "",
        needs: &[("videoMediaId", VIDEO), ("videoType", VIDEO), ("duration", VIDEO)],
    },
];

/// The members of the vertical action cards with `count` buttons.
const fn buttons(count: usize) -> &'static [(&'static str, &'static str)] {
    const ALL: [(&str, &str); 12] = [
        ("title", ACTION_CARD),
        ("text", ACTION_CARD),
        ("actionTitle1", ACTION_CARD),
        ("actionURL1", ACTION_CARD),
        ("actionTitle2", ACTION_CARD),
        ("actionURL2", ACTION_CARD),
        ("actionTitle3", ACTION_CARD),
        ("actionURL3", ACTION_CARD),
        ("actionTitle4", ACTION_CARD),
        ("actionURL4", ACTION_CARD),
        ("actionTitle5", ACTION_CARD),
        ("actionURL5", ACTION_CARD),
    ];
    ALL.split_at(2 + 2 * count).0
}

/// A message that was read and found right.
pub(super) struct Message {
    /// The `msgtype` it appears as.
    pub(super) msgtype: &'static str,
    /// What people read.
    pub(super) text: String,
    /// What comes with it.
    pub(super) media: Option<Value>,
}

/// Reads `msgKey` and `msgParam`.
pub(super) fn read(app: &mut App, body: Fields<'_>) -> Result<Message, Reply> {
    let template = match body.text("msgKey") {
        "" => {
            let problem = "msgKey is missing or empty";
            return Err(wrong("invalidParameter.msgKey.empty", problem, "sampleText"));
        }
        key => TEMPLATES.iter().find(|template| template.key == key).ok_or_else(|| {
            let known = TEMPLATES.each_ref().map(|template| template.key).join(", ");
            wrong("invalidParameter.msgKey.invalid", &format!("msgKey is {key:?}"), &known)
        })?,
    };
    let param = param(app, body, template)?;
    let text = param.get(template.text).and_then(Value::as_str).unwrap_or_default();
    let media = media(app, &param)?;
    Ok(Message { msgtype: template.msgtype, text: text.to_owned(), media })
}

/// The file that a message names. What DingTalk says of an id that nobody uploaded is not
/// documented; the code for a wrong `msgParam` is our choice.
fn media(app: &mut App, param: &Map<String, Value>) -> Result<Option<Value>, Reply> {
    let text = |name: &'static str| Some((name, param.get(name)?.as_str()?));
    let Some((name, id)) = ["photoURL", "mediaId", "videoMediaId"].into_iter().find_map(text)
    else {
        return Ok(None);
    };
    let media = app.media_of_message(id);
    if media.is_none() {
        let problem = format!("msgParam.{name} is {id:?}, which the app did not upload");
        let expected = "a media_id of media/upload, or a photoURL with http";
        app.api.tolerate(wrong(INVALID, &problem, expected))?;
    }
    Ok(media)
}

/// Checks that `robotCode` is the app's.
pub(super) fn check_robot(app: &App, body: Fields<'_>, see: &'static str) -> Result<(), Reply> {
    check_robot_code(app, body.text("robotCode"), see)
}

/// Checks a `robotCode`. Of another robot the sending calls say `resource.not.found`, as was seen
/// (NousResearch/hermes-agent#30143), though the page of batchSend lists
/// `invalidParameter.robotCode.notExsit` as well; the calls that name no code of their own borrow
/// it.
pub(super) fn check_robot_code(app: &App, code: &str, see: &'static str) -> Result<(), Reply> {
    if code.is_empty() {
        let problem = "robotCode is missing or empty";
        return Err(refuse("invalidParameter.robotCode.empty", problem, "a string", see));
    }
    if code != app.robot_code {
        let diagnosis =
            Diagnosis::new("robotCode is not the app's robot", app.robot_code.clone(), see);
        return Err(Reply::error(400, "resource.not.found", "robot 不存在").diagnosed(diagnosis));
    }
    Ok(())
}

/// Bytes of `msgParam` (KB 0716).
const MAX_PARAM: usize = 15_000;

/// Checks how long `msgParam` is. The page of groupMessages/send has the number, that of batchSend
/// the code alone.
pub(super) fn check_length(body: Fields<'_>, see: &'static str) -> Result<(), Reply> {
    let length = body.text("msgParam").len();
    if length <= MAX_PARAM {
        return Ok(());
    }
    let problem = format!("msgParam has {length} bytes");
    let expected = format!("at most {MAX_PARAM}");
    Err(refuse("invalidParameter.msgParam.tooLong", problem, expected, see))
}

/// Checks `msgParam` against the template and returns it.
fn param(
    app: &mut App,
    body: Fields<'_>,
    template: &Template,
) -> Result<Map<String, Value>, Reply> {
    let text = match body.get("msgParam") {
        Some(Value::String(text)) => text,
        Some(_) => {
            return Err(wrong(INVALID, "msgParam is no string", "JSON written into a string"));
        }
        None => return Err(wrong(INVALID, "msgParam is missing", "JSON written into a string")),
    };
    let Ok(Value::Object(mut param)) = serde_json::from_str::<Value>(text) else {
        return Err(wrong(INVALID, "msgParam does not hold a JSON object", r#"{"content":"hi"}"#));
    };
    for (name, value) in param.iter_mut().filter(|(_, value)| !value.is_string()) {
        let problem = format!("msgParam.{name} is no string");
        app.api.tolerate(wrong(INVALID, &problem, "strings only"))?;
        *value = value.to_string().into();
    }
    let member = |name: &str| param.get(name).and_then(Value::as_str).unwrap_or_default();
    for (name, code) in template.needs {
        if member(name).is_empty() {
            let problem = format!("msgParam.{name} is missing or empty");
            return Err(wrong(code, &problem, &format!("{} needs it", template.key)));
        }
    }
    if template.key == "sampleVideo" && !param.contains_key("picMediaId") {
        return Err(wrong(VIDEO, "msgParam.picMediaId is missing", "sampleVideo needs it"));
    }
    Ok(param)
}

fn wrong(code: &'static str, problem: &str, expected: &str) -> Reply {
    refuse(code, problem, expected, SEE)
}
