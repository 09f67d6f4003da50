//! What all tests of the program need.

use std::path::Path;
use std::process::{Command, Output};

/// The bot that the program is tried with.
pub(crate) const BOT: &str = env!("CARGO_BIN_EXE_dingtalk-raw-bot");

/// Runs the program at the root of the workspace.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dingtalk-conformance"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("the program starts")
}

/// What it wrote on standard output.
pub(crate) fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("the program writes UTF-8")
}

/// What it wrote on standard error.
pub(crate) fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("the program writes UTF-8")
}
