//! Files: what the robot uploaded, and what people sent.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use bytes::Bytes;
use ring::digest;
use serde_json::{Value, json};

use super::{
    Moment,
    app::{App, AppNumber},
    ids::Mint,
    inbound_media::Media as InboundMedia,
    lifetime,
    mutation::Mutation,
    ring::Ring,
};

/// Lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// A file.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    /// `@lAL…` of an upload, the `downloadCode` of a person's file.
    pub(crate) id: String,
    pub(crate) name: String,
    /// `image`, `voice`, `video` or `file`.
    pub(crate) kind: &'static str,
    pub(crate) bytes: Bytes,
    /// What the sender said it is; otherwise its name tells.
    pub(crate) mime_type: Option<String>,
    /// On the clock's steady hand; nothing for uploads, whose end no page tells.
    pub(crate) expires: Option<Duration>,
}

impl Media {
    /// Lower-case hex.
    pub(crate) fn sha256(&self) -> String {
        sha256(&self.bytes)
    }

    /// As `sent` shows it.
    pub(crate) fn shown(&self, client_id: &str) -> Value {
        let id = url::form_urlencoded::byte_serialize(self.id.as_bytes()).collect::<String>();
        json!({
            "mediaId": self.id,
            "name": self.name,
            "type": self.kind,
            "size": self.bytes.len(),
            "sha256": self.sha256(),
            "url": format!("/_mock/apps/{client_id}/media/{id}"),
        })
    }

    /// As given, else by the name's extension.
    pub(crate) fn mime_type(&self) -> &str {
        self.mime_type.as_deref().unwrap_or_else(|| self.content_type())
    }

    /// By the name's extension, as storage serves it.
    pub(crate) fn content_type(&self) -> &'static str {
        match extension(&self.name).as_str() {
            "jpg" | "jpeg" => "image/jpeg",
            "png" => "image/png",
            "gif" => "image/gif",
            "bmp" => "image/bmp",
            "amr" => "audio/amr",
            "mp3" => "audio/mpeg",
            "wav" => "audio/wav",
            "ogg" => "audio/ogg",
            "mp4" => "video/mp4",
            "pdf" => "application/pdf",
            "zip" => "application/zip",
            _ => "application/octet-stream",
        }
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The extension of a file's name, in small letters, or nothing.
pub(crate) fn extension(name: &str) -> String {
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
}

/// The files of one app. The oldest go first when there are too many.
#[derive(Debug, Clone)]
pub(crate) struct MediaStore {
    ring: Ring<Media>,
    by_id: HashMap<String, u64>,
}

impl Default for MediaStore {
    fn default() -> Self {
        Self {
            ring: Ring::new(lifetime::MEDIA_PER_APP, lifetime::MEDIA_BYTES_PER_APP),
            by_id: HashMap::new(),
        }
    }
}

impl MediaStore {
    pub(crate) fn bytes(&self) -> usize {
        self.ring.size().bytes
    }

    /// Keeps an upload under a new `media_id`.
    pub(crate) fn upload(
        &mut self,
        mint: &mut Mint,
        app: AppNumber,
        kind: &'static str,
        name: &str,
        bytes: Bytes,
    ) -> &Media {
        // The prefixes that users report, by kind.
        let prefix = if kind == "video" { "$iAE" } else { "@lALP" };
        let id = format!("{prefix}{}", mint.media_id(app));
        self.keep(Media { id, name: name.to_owned(), kind, bytes, mime_type: None, expires: None })
    }

    /// Keeps a file that a person sent, under a new `downloadCode`.
    pub(crate) fn sent_by_person(
        &mut self,
        mint: &mut Mint,
        app: AppNumber,
        file: InboundMedia,
        now: Moment,
    ) -> &Media {
        let id = mint.media_id(app);
        let expires = Some(now.since_start.saturating_add(lifetime::DOWNLOAD_CODE));
        let InboundMedia { name, mime_type, bytes } = file;
        let mime_type = Some(mime_type).filter(|given| !given.is_empty());
        self.keep(Media { id, name, kind: "file", bytes, mime_type, expires })
    }

    /// Makes a kept file known by one more id, such as the `downloadCode` that a fixture has. There are
    /// as many as embedded fixtures name, so that they need no bound.
    pub(crate) fn also_known_as(&mut self, other: String, id: &str) {
        if let Some(number) = self.by_id.get(key(id)).copied() {
            self.by_id.insert(other, number);
        }
    }

    fn keep(&mut self, media: Media) -> &Media {
        let number = self.ring.next_number();
        self.by_id.insert(key(&media.id).to_owned(), number);
        let by_id = &mut self.by_id;
        self.ring.push(number, media.bytes.len(), media, |old| {
            by_id.remove(key(&old.id));
        });
        self.ring.get_mut(number).expect("the newest row of a ring stays")
    }

    /// A file by its id, with the leading `@` or without.
    pub(crate) fn get(&self, id: &str) -> Option<&Media> {
        self.ring.get(*self.by_id.get(key(id))?)
    }
}

/// Clients strip a leading `@` from a `media_id`.
fn key(id: &str) -> &str {
    id.strip_prefix('@').unwrap_or(id)
}

impl App {
    /// The bytes of a file, as they are fetched.
    pub(crate) fn as_served(&self, media: &Media) -> Bytes {
        if self.mutated(Mutation::MediaAltered) {
            return media.bytes.iter().map(|byte| byte ^ 1).collect();
        }
        media.bytes.clone()
    }

    /// What `sent` shows of a file that a message names: all of it if it was uploaded here, the
    /// address if it is one. `None` if it is neither.
    pub(crate) fn media_of_message(&self, id: &str) -> Option<Value> {
        if let Some(media) = self.api.media.get(id).filter(|media| media.expires.is_none()) {
            return Some(media.shown(&self.client_id));
        }
        (id.starts_with("http://") || id.starts_with("https://")).then(|| json!({ "url": id }))
    }
}
