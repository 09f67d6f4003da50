//! `ddingtalk logs` and `channels logs`: what the gateway wrote into the state directory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::access::state_dir;
use super::exit_code::{ExitCode, Failure};
use super::output;
use crate::config::accounts::DEFAULT;
use crate::telemetry::lines::{account, readable};
use crate::telemetry::log_file::{FILE, KEPT, full_one};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Go on with what is written from now on, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// So many of the last lines.
    #[arg(long, short = 'n', visible_alias = "limit", value_name = "N", default_value_t = 200)]
    lines: usize,
    /// Print each line as the JSON object that it is kept as.
    #[arg(long)]
    json: bool,
    /// State directory of the gateway.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// How often a followed file is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Prints the log, of one account or all of it.
pub(super) async fn run(args: Args, of: Option<&str>) -> Result<(), Failure> {
    let path = state_dir(args.state_dir.clone())?.join(FILE);
    let is_meant = |line: &Value| of.is_none_or(|name| account(line).unwrap_or(DEFAULT) == name);
    let show = |text: &str| {
        // A line that was not written to its end, as after a full disk.
        let line: Value = serde_json::from_str(text).ok()?;
        is_meant(&line).then(|| if args.json { text.to_owned() } else { readable(&line) })
    };
    let mut open = Followed::open(&path)?;
    let mut last = VecDeque::new();
    let aside = (1..=KEPT).rev().map(|n| std::fs::read(full_one(&path, n)).unwrap_or_default());
    let whole = aside.chain([open.more().map_err(|e| unreadable(&path, &e))?]);
    for bytes in whole {
        for shown in String::from_utf8_lossy(&bytes).lines().filter_map(show) {
            if last.len() == args.lines {
                last.pop_front();
            }
            if args.lines > 0 {
                last.push_back(shown);
            }
        }
    }
    for line in last {
        output::data(&line)?;
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        let bytes = open.more().map_err(|e| unreadable(&path, &e))?;
        for shown in String::from_utf8_lossy(&bytes).lines().filter_map(show) {
            let read = output::read(&shown);
            if !read.map_err(|e| Failure::new(ExitCode::Failed, format!("cannot print: {e}")))? {
                return Ok(());
            }
        }
        if bytes.is_empty() && !open.next(&path) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A file that is read as it grows, and the one that takes its place.
struct Followed {
    file: File,
    inode: u64,
    position: u64,
}

impl Followed {
    fn open(path: &Path) -> Result<Self, Failure> {
        Self::at(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => {
                let message = format!(
                    "there is no log {}; a gateway writes it, so start one with `ddingtalk gateway`, or \
                     name its directory with --state-dir",
                    path.display()
                );
                Failure::new(ExitCode::Failed, message)
            }
            _ => unreadable(path, &e),
        })
    }

    fn at(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let inode = file.metadata()?.ino();
        Ok(Self { file, inode, position: 0 })
    }

    /// Whole lines that were not read yet.
    fn more(&mut self) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(self.position))?;
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(whole);
        self.position += whole as u64;
        Ok(bytes)
    }

    /// Goes on with the file that took this one's place, if one did.
    fn next(&mut self, path: &Path) -> bool {
        match Self::at(path) {
            Ok(next) if next.inode != self.inode => {
                *self = next;
                true
            }
            // Between two files there is none for a moment.
            _ => false,
        }
    }
}

fn unreadable(path: &Path, e: &io::Error) -> Failure {
    let message = format!(
        "the log {} cannot be read: {e}; do it as the user who runs the gateway",
        path.display()
    );
    Failure::new(ExitCode::StateDirectory, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_followed_file_is_read_by_whole_lines_and_its_successor_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let mut out = File::create(&path).unwrap();
        out.write_all(b"one\ntw").unwrap();
        let mut open = Followed::open(&path).unwrap();
        assert_eq!(open.more().unwrap(), b"one\n");
        assert!(open.more().unwrap().is_empty() && !open.next(&path));
        std::fs::rename(&path, full_one(&path, 1)).unwrap();
        assert!(!open.next(&path), "there is none for a moment");
        out.write_all(b"o\n").unwrap();
        std::fs::write(&path, "three\n").unwrap();
        assert_eq!(open.more().unwrap(), b"two\n");
        assert!(open.next(&path));
        assert_eq!(open.more().unwrap(), b"three\n");
    }
}
