//! Files that people sent, by the `downloadCode` that the frame carried.
//!
//! [`InboundMedia::put`] is used when a person speaks, [`InboundMedia::get`] by whoever serves
//! `POST /v1.0/robot/messageFiles/download` and the link it answers with.

use std::collections::HashMap;

use bytes::Bytes;

use super::{lifetime, ring::Ring};

/// A file with its name, as a person sends one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// File name with its ending, 1 to 255 bytes.
    pub name: String,
    /// MIME type, such as `image/png`.
    pub mime_type: String,
    /// The bytes, at most 20 MiB. (Our bound; DingTalk's for what people send is not documented.)
    pub bytes: Bytes,
}

impl Media {
    /// A file of these bytes.
    pub fn new(
        name: impl Into<String>,
        mime_type: impl Into<String>,
        bytes: impl Into<Bytes>,
    ) -> Self {
        Self { name: name.into(), mime_type: mime_type.into(), bytes: bytes.into() }
    }
}

/// The files of one app, oldest forgotten first when there are too many.
#[derive(Debug)]
pub(crate) struct InboundMedia {
    ring: Ring<(String, Media)>,
    by_code: HashMap<String, u64>,
}

impl Default for InboundMedia {
    fn default() -> Self {
        Self {
            ring: Ring::new(lifetime::MEDIA_PER_APP, lifetime::MEDIA_BYTES_PER_APP),
            by_code: HashMap::new(),
        }
    }
}

impl InboundMedia {
    /// Keeps a file under a code. Codes are minted, so none comes twice.
    pub(crate) fn put(&mut self, code: String, media: Media) {
        let number = self.ring.next_number();
        self.by_code.insert(code.clone(), number);
        let bytes = media.bytes.len();
        let by_code = &mut self.by_code;
        self.ring.push(number, bytes, (code, media), |(old, _)| {
            by_code.remove(&old);
        });
    }

    /// The file of a code; `None` if there never was one or it had to go.
    pub(crate) fn get(&self, code: &str) -> Option<&Media> {
        let number = *self.by_code.get(code)?;
        self.ring.after(number - 1).next().map(|(_, (_, media))| media)
    }
}

#[cfg(test)]
mod tests {
    use super::{InboundMedia, Media, lifetime};

    #[test]
    fn a_code_gives_its_file_until_newer_files_push_it_out() {
        let mut store = InboundMedia::default();
        store.put("a".to_owned(), Media::new("a.txt", "text/plain", "one"));
        store.put("b".to_owned(), Media::new("b.txt", "text/plain", "two"));
        assert_eq!(store.get("a").unwrap().bytes, "one");
        assert_eq!(store.get("b").unwrap().name, "b.txt");
        assert_eq!(store.get("c"), None);
        let large = vec![0; lifetime::MEDIA_BYTES_PER_APP];
        store.put("c".to_owned(), Media::new("c.bin", "application/octet-stream", large));
        assert_eq!(store.get("a"), None);
        assert_eq!(store.get("b"), None);
        assert_eq!(store.by_code.len(), 1);
    }
}
