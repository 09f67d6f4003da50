//! The files of chats as the drive shows them: a space for each chat, an entry for each file.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    app::{App, Cx},
    conversation::ConversationKind,
    inbound::check_file,
    inbound_media::Media,
    journal::{Draft, EntryKind},
    lifetime,
    ring::Ring,
    verb_error::{VerbError, quoted},
};

/// An entry of a chat's space.
#[derive(Debug, Clone)]
pub(crate) struct Dentry {
    pub(crate) id: String,
    pub(crate) space_id: String,
    pub(crate) name: String,
    /// The `downloadCode` of its bytes.
    pub(crate) code: String,
    pub(crate) size: usize,
    /// Milliseconds since 1970.
    pub(crate) created_at: i64,
}

/// The spaces and entries of one app.
#[derive(Debug, Clone)]
pub(crate) struct GroupFiles {
    /// Space by chat, and when it was made.
    by_chat: HashMap<String, (String, i64)>,
    entries: Ring<Dentry>,
}

impl Default for GroupFiles {
    fn default() -> Self {
        let entries = Ring::new(lifetime::MEDIA_PER_APP, usize::MAX);
        Self { by_chat: HashMap::new(), entries }
    }
}

/// Spaces and entries are numbered from these, in the range that real ones have.
const FIRST_SPACE: u64 = 22_300_000;
const FIRST_DENTRY: u64 = 11_700_000;

impl GroupFiles {
    /// The space of a chat, made now if need be: its id, and when it was made. There are no more
    /// spaces than chats.
    pub(crate) fn space(&mut self, chat: &str, now: i64) -> (&str, i64) {
        let number = FIRST_SPACE + 1 + self.by_chat.len() as u64;
        let made = || (number.to_string(), now);
        let (id, at) = self.by_chat.entry(chat.to_owned()).or_insert_with(made);
        (id, *at)
    }

    /// Spaces and entries.
    pub(crate) fn len(&self) -> usize {
        self.by_chat.len() + self.entries.len()
    }

    pub(crate) fn has_space(&self, id: &str) -> bool {
        self.by_chat.values().any(|(space, _)| space == id)
    }

    /// The entries of a space, newest first.
    pub(crate) fn of_space(&self, space_id: &str) -> impl Iterator<Item = &Dentry> {
        let newest = self.entries.after(0).rev().map(|(_, dentry)| dentry);
        newest.filter(move |dentry| dentry.space_id == space_id)
    }

    pub(crate) fn get(&self, space_id: &str, id: &str) -> Option<&Dentry> {
        let number = id.parse::<u64>().ok()?.checked_sub(FIRST_DENTRY)?;
        self.entries.get(number).filter(|dentry| dentry.space_id == space_id)
    }
}

/// A file that stands in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct GroupFile {
    /// The `downloadCode` that a message would carry.
    pub download_code: String,
    /// The space of the group.
    pub space_id: String,
    /// The file's id in the space, `fileId` in messages.
    pub dentry_id: String,
}

impl App {
    /// A person puts a file into a group.
    pub(crate) fn add_group_file(
        &mut self,
        cx: &mut Cx<'_>,
        chat: &str,
        file: Media,
    ) -> Result<GroupFile, VerbError> {
        check_file(&file)?;
        if !self.conversations.get(chat).is_some_and(|chat| chat.kind == ConversationKind::Group) {
            return Err(VerbError::invalid("conversationId", quoted(chat), "the id of a group"));
        }
        let media = &mut self.api.media;
        let kept = media.sent_by_person(&mut self.mint, self.number, file, cx.now);
        let code = kept.id.clone();
        let (space_id, dentry_id) =
            self.place_file(chat, &code, cx.now.unix_ms).expect("the file was just kept");
        let text = format!("a file comes into {chat}");
        self.note(cx, Draft::new(EntryKind::Control, text));
        Ok(GroupFile { download_code: code, space_id, dentry_id })
    }

    /// Puts a kept file into a chat's space: ids of space and entry. `None` if it is not kept.
    pub(crate) fn place_file(
        &mut self,
        chat: &str,
        code: &str,
        created_at: i64,
    ) -> Option<(String, String)> {
        let file = self.api.media.get(code)?;
        let (name, size) = (file.name.clone(), file.bytes.len());
        let files = &mut self.api.group_files;
        let space_id = files.space(chat, created_at).0.to_owned();
        let number = files.entries.next_number();
        let id = (FIRST_DENTRY + number).to_string();
        let dentry = Dentry {
            id: id.clone(),
            space_id: space_id.clone(),
            name,
            code: code.to_owned(),
            size,
            created_at,
        };
        files.entries.push(number, 0, dentry, drop);
        Some((space_id, id))
    }

    /// Gives the files in a message's body the ids under which the chat's space has them. Those
    /// that a test chose stay as they are.
    pub(crate) fn place_files(&mut self, chat: &str, body: &mut Value, created_at: i64) {
        match body {
            Value::Array(items) => {
                for item in items {
                    self.place_files(chat, item, created_at);
                }
            }
            Value::Object(members) => {
                let of = |name: &str| members.get(name).and_then(Value::as_str);
                let placeholder = of("spaceId") == Some(SPACE) && of("fileId") == Some(FILE);
                let code = of("downloadCode").filter(|_| placeholder).map(str::to_owned);
                if let Some((space, file)) =
                    code.and_then(|code| self.place_file(chat, &code, created_at))
                {
                    members.insert("spaceId".to_owned(), space.into());
                    members.insert("fileId".to_owned(), file.into());
                }
                // What is quoted was sent when its `createdAt` says.
                let created_at =
                    members.get("createdAt").and_then(Value::as_i64).unwrap_or(created_at);
                for member in members.values_mut() {
                    self.place_files(chat, member, created_at);
                }
            }
            _ => {}
        }
    }
}

/// What a file's body has before it is placed.
pub(crate) const SPACE: &str = "22300000";
pub(crate) const FILE: &str = "11700000";

impl Dentry {
    /// As `listAll` shows it. Only the members that clients read, and those that cost nothing.
    pub(crate) fn shown(&self) -> Value {
        let extension = super::media::extension(&self.name);
        json!({
            "id": self.id,
            "spaceId": self.space_id,
            "parentId": "0",
            "type": "FILE",
            "name": self.name,
            "size": self.size,
            "extension": extension,
            "status": "NORMAL",
            "createTime": java_date(self.created_at),
            "modifiedTime": java_date(self.created_at),
        })
    }
}

/// `Thu May 28 12:00:00 CST 2026`, as Java writes a date in DingTalk's time zone: what the client
/// that reads it expects (soimy/openclaw-channel-dingtalk, quoted-file-service.ts).
pub(crate) fn java_date(unix_ms: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    let seconds = unix_ms.div_euclid(1_000) + 8 * 3_600;
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in eras of 400 years: the leap day comes last in each year.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let year = era * 400 + year + i64::from(from_march >= 10);
    let name = |names: &[&'static str], index: i64| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or_default()
    };
    format!(
        "{} {} {day_of_month:02} {:02}:{:02}:{:02} CST {year}",
        name(&DAYS, days.rem_euclid(7)),
        name(&MONTHS, from_march),
        second / 3_600,
        second / 60 % 60,
        second % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::java_date;

    #[test]
    fn dates_are_written_as_java_writes_them_in_china() {
        let cases = [
            (0, "Thu Jan 01 08:00:00 CST 1970"),
            (1_780_000_000_000, "Fri May 29 04:26:40 CST 2026"),
            (1_709_164_800_000, "Thu Feb 29 08:00:00 CST 2024"),
            (1_735_660_799_999, "Tue Dec 31 23:59:59 CST 2024"),
            (-1, "Thu Jan 01 07:59:59 CST 1970"),
        ];
        for (unix_ms, written) in cases {
            assert_eq!(java_date(unix_ms), written, "{unix_ms}");
        }
    }
}
