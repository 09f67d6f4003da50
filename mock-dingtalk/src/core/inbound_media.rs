//! A file as a person sends one.

use bytes::Bytes;

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
