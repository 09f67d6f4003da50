//! Files that a robot has to have sent.

use super::expectation::size;
use crate::{
    control::Fields,
    core::{Media, SentRow, VerbError, sha256},
};

/// A file of an earlier step, byte for byte.
#[derive(Debug, Clone)]
pub(super) struct FileWanted {
    /// The step that brought it, by its name.
    pub(super) of: String,
    /// Which of its files, from 0.
    pub(super) index: usize,
    /// Shown as one of these.
    msgtypes: Vec<String>,
    /// By this name.
    name: Option<String>,
}

impl FileWanted {
    /// `{"of", "index"?, "as"?, "name"?}`.
    pub(super) fn read(mut fields: Fields) -> Result<Self, VerbError> {
        let wanted = Self {
            of: fields.required_string("of")?,
            index: size(&mut fields, "index")?.unwrap_or(0),
            msgtypes: fields.strings("as")?.unwrap_or_default(),
            name: fields.string("name")?,
        };
        fields.finish()?;
        Ok(wanted)
    }

    /// Whether the row has these bytes; then what is wrong with the way they are shown.
    pub(super) fn matches(&self, row: &SentRow, file: &Media) -> Option<Result<(), String>> {
        let media = row.media.as_ref()?;
        if media["sha256"] != sha256(&file.bytes) {
            return None;
        }
        if !self.msgtypes.is_empty() && !self.msgtypes.contains(&row.msgtype) {
            let (shown, wanted) = (&row.msgtype, &self.msgtypes);
            return Some(Err(format!(
                "the file of `{}` was sent as {shown}, not {wanted:?}",
                self.of
            )));
        }
        if let Some(name) = &self.name
            && media["name"] != name.as_str()
        {
            let shown = &media["name"];
            return Some(Err(format!("the file of `{}` is named {shown}, not {name:?}", self.of)));
        }
        Some(Ok(()))
    }
}
