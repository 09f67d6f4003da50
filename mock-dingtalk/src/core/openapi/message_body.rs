//! Message bodies of the webhook family: which `msgtype` needs which members, and what a person
//! reads of it.

use serde_json::{Map, Value};

/// Bytes of the HTTP body, as code 460101 has it.
pub(super) const MAX_BODY: usize = 20_000;

/// What was wrong with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// No `msgtype`, or not a string.
    NoType,
    /// A `msgtype` that the webhook does not take.
    UnknownType(String),
    /// A member that has to be there is not; its path.
    Missing(String),
}

/// Reads the text of a message, or `None` where the message says nothing (`empty`).
///
/// Members and spelling as in KB 0699 and 0717: link has `messageUrl`, feedCard `messageURL`.
pub(super) fn read(
    body: &Map<String, Value>,
    undocumented: bool,
) -> Result<Option<(String, String)>, BodyError> {
    let Some(msgtype) = body.get("msgtype").and_then(Value::as_str) else {
        return Err(BodyError::NoType);
    };
    let part = |member: &str| -> Result<String, BodyError> {
        match body.get(msgtype).and_then(|part| part.get(member)) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            _ => Err(BodyError::Missing(format!("{msgtype}.{member}"))),
        }
    };
    let text = match msgtype {
        "empty" => return Ok(None),
        "text" => part("content")?,
        "markdown" => {
            part("title")?;
            part("text")?
        }
        "link" => {
            part("title")?;
            part("messageUrl")?;
            part("text")?
        }
        "actionCard" => {
            part("title")?;
            let text = part("text")?;
            action_card_buttons(body)?;
            text
        }
        "feedCard" => feed_card(body)?,
        "image" | "file" | "video" if undocumented => media(body, msgtype)?,
        other => return Err(BodyError::UnknownType(other.to_owned())),
    };
    Ok(Some((msgtype.to_owned(), text)))
}

/// The types that no page has, in the members that clients in use send (`QwenPaw` and two others);
/// what people read of it is the name of a file.
fn media(body: &Map<String, Value>, msgtype: &str) -> Result<String, BodyError> {
    let (ids, needs): (&[&str], &[&str]) = match msgtype {
        "image" => (&["picURL", "media_id"], &[]),
        "file" => (&["mediaId", "media_id"], &[]),
        _ => (&["videoMediaId", "mediaId"], &["duration"]),
    };
    let part = body.get(msgtype);
    let text = |name: &str| part.and_then(|part| part.get(name)).and_then(Value::as_str);
    let filled = |name: &str| text(name).is_some_and(|text| !text.is_empty());
    if !ids.iter().any(|name| filled(name)) {
        return Err(BodyError::Missing(format!("{msgtype}.{}", ids[0])));
    }
    if let Some(name) = needs.iter().find(|name| !filled(name)) {
        return Err(BodyError::Missing(format!("{msgtype}.{name}")));
    }
    Ok(text("fileName").unwrap_or_default().to_owned())
}

/// The file that such a message names.
pub(super) fn media_id(body: &Map<String, Value>) -> Option<&str> {
    let part = body.get(body.get("msgtype")?.as_str()?)?;
    ["picURL", "videoMediaId", "mediaId", "media_id"]
        .iter()
        .filter_map(|name| part.get(*name)?.as_str())
        .find(|id| !id.is_empty())
}

/// One button as `singleTitle` and `singleURL`, or several as `btns`.
fn action_card_buttons(body: &Map<String, Value>) -> Result<(), BodyError> {
    let card = &body["actionCard"];
    if let Some(buttons) = card.get("btns") {
        let buttons = buttons.as_array().filter(|buttons| !buttons.is_empty());
        let buttons = buttons.ok_or_else(|| BodyError::Missing("actionCard.btns".to_owned()))?;
        return all_have(buttons, "actionCard.btns", &["title", "actionURL"]);
    }
    for name in ["singleTitle", "singleURL"] {
        if !card.get(name).is_some_and(Value::is_string) {
            return Err(BodyError::Missing(format!("actionCard.{name}")));
        }
    }
    Ok(())
}

fn feed_card(body: &Map<String, Value>) -> Result<String, BodyError> {
    let links = body
        .get("feedCard")
        .and_then(|card| card.get("links"))
        .and_then(Value::as_array)
        .filter(|links| !links.is_empty())
        .ok_or_else(|| BodyError::Missing("feedCard.links".to_owned()))?;
    all_have(links, "feedCard.links", &["title", "messageURL", "picURL"])?;
    let titles: Vec<&str> = links.iter().filter_map(|link| link["title"].as_str()).collect();
    Ok(titles.join("\n"))
}

fn all_have(items: &[Value], path: &str, names: &[&str]) -> Result<(), BodyError> {
    for (index, item) in items.iter().enumerate() {
        for name in names {
            if !item.get(*name).is_some_and(Value::is_string) {
                return Err(BodyError::Missing(format!("{path}[{index}].{name}")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{BodyError, read};

    fn read_value(body: &Value) -> Result<Option<(String, String)>, BodyError> {
        read(body.as_object().unwrap(), true)
    }

    #[test]
    fn each_documented_type_is_read() {
        let cases = [
            (
                json!({"msgtype":"text","text":{"content":"hi"},"at":{"atUserIds":[null,""]}}),
                "text",
                "hi",
            ),
            (
                json!({"msgtype":"markdown","markdown":{"title":"T","text":"# x"}}),
                "markdown",
                "# x",
            ),
            (
                json!({"msgtype":"link","link":{"title":"T","text":"b","picUrl":"p","messageUrl":"u"}}),
                "link",
                "b",
            ),
            (
                json!({"msgtype":"actionCard","actionCard":{"title":"T","text":"b","singleTitle":"s","singleURL":"u"}}),
                "actionCard",
                "b",
            ),
            (
                json!({"msgtype":"actionCard","actionCard":{"title":"T","text":"b","btns":[{"title":"A","actionURL":"u"}]}}),
                "actionCard",
                "b",
            ),
            (
                json!({"msgtype":"feedCard","feedCard":{"links":[{"title":"1","messageURL":"m","picURL":"p"}]}}),
                "feedCard",
                "1",
            ),
        ];
        for (body, msgtype, text) in cases {
            let read = read_value(&body).unwrap().unwrap();
            assert_eq!((read.0.as_str(), read.1.as_str()), (msgtype, text), "{body}");
        }
        assert_eq!(read_value(&json!({"msgtype":"empty"})), Ok(None));
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |path: &str| Err(BodyError::Missing(path.to_owned()));
        let cases = [
            (json!({}), Err(BodyError::NoType)),
            (json!({"msgtype":7}), Err(BodyError::NoType)),
            (json!({"msgtype":"voice"}), Err(BodyError::UnknownType("voice".to_owned()))),
            (json!({"msgtype":"text"}), missing("text.content")),
            (json!({"msgtype":"text","text":"hi"}), missing("text.content")),
            (json!({"msgtype":"markdown","markdown":{"text":"x"}}), missing("markdown.title")),
            (
                json!({"msgtype":"link","link":{"title":"T","text":"b","messageURL":"u"}}),
                missing("link.messageUrl"),
            ),
            (
                json!({"msgtype":"actionCard","actionCard":{"title":"T","text":"b"}}),
                missing("actionCard.singleTitle"),
            ),
            (json!({"msgtype":"feedCard","feedCard":{"links":[]}}), missing("feedCard.links")),
            (
                json!({"msgtype":"feedCard","feedCard":{"links":[{"title":"1","messageUrl":"m"}]}}),
                missing("feedCard.links[0].messageURL"),
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(read_value(&body), expected, "{body}");
        }
    }
}
