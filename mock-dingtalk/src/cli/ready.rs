//! The ready line: one JSON object, when every listener is bound.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use mock_dingtalk::MockDingtalk;
use serde_json::json;

use super::exit_code::Exit;

/// The line for a mock. The admin token is in it only where one is wanted.
pub(super) fn line(mock: &MockDingtalk) -> String {
    let mut line = json!({
        "url": mock.url(),
        "wsUrl": mock.ws_url(),
        "pid": std::process::id(),
    });
    if let Some(token) = mock.admin_token() {
        line["adminToken"] = token.into();
    }
    line.to_string()
}

/// A ready file. It is removed when this is dropped, so that nobody takes it for a new one.
#[derive(Debug)]
pub(super) struct ReadyFile {
    path: PathBuf,
}

impl ReadyFile {
    /// Writes the file in one go: whoever sees it sees all of it.
    pub(super) fn write(path: &Path, line: &str) -> Result<Self, Exit> {
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let written = write_private(&part, line).and_then(|()| fs::rename(&part, path));
        match written {
            Ok(()) => Ok(Self { path: path.to_owned() }),
            Err(error) => {
                // What is left of it is of no use; it may not be there at all.
                let _ = fs::remove_file(&part);
                Err(Exit::cannot_create(format!(
                    "cannot write the ready file {}: {error}; choose a folder that exists and is \
                     yours with --ready-file",
                    path.display()
                )))
            }
        }
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = fs::remove_file(&self.path);
    }
}

fn write_private(path: &Path, line: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(line.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}
