//! Command line: what is asked, and how the answer is given.

use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dingtalk_conformance::fixtures::FixturesError;
use dingtalk_conformance::provenance::ProvenanceError;
use dingtalk_conformance::run::{BaselineError, ReportError, UnknownCapability};
use dingtalk_conformance::suite::SuiteError;
use mock_dingtalk::ControlError;

mod baseline;
mod fixtures;
mod list;
mod matrix;
mod report;
mod run;
mod signals;

/// Judges DingTalk connectors, SDKs and bots, and keeps the fixtures honest.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the wire shapes, or check that each has its provenance.
    #[command(subcommand, after_help = EXIT_CODES)]
    Fixtures(fixtures::Command),
    /// List the cases, what each checks, and what the suite counts.
    #[command(after_help = EXIT_CODES)]
    List(list::List),
    /// Play cases against a bot, and judge it.
    #[command(after_help = EXIT_CODES)]
    Run(Box<run::Run>),
    /// Print a report that is there, and write its junit.xml and report.html again.
    #[command(after_help = EXIT_CODES)]
    Report(report::Report),
    /// Write one page with the reports of several bots side by side, and the same as JSON.
    #[command(after_help = EXIT_CODES)]
    Matrix(matrix::Matrix),
    /// Write the failures of a report down as known, each with its reason; drop stale ones.
    #[command(after_help = EXIT_CODES)]
    Baseline(baseline::Baseline),
}

const EXIT_CODES: &str = "\
Exit codes:
  0   nothing is wrong
  1   the check found something wrong, or a case failed; it is on standard output
  2   the command line makes no sense
  65  a file that was read cannot be understood
  66  the folder, or a file of it, cannot be read
  69  no mock answers (--mock)
  74  standard output or the report cannot be written
  128 + N  signal N ended it";

impl Cli {
    /// Runs the command and writes its answer to `out`.
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<Status, CliError> {
        let Answer { status, text } = match &self.command {
            Command::Fixtures(command) => command.run()?,
            Command::List(list) => list.run()?,
            Command::Run(run) => run.run()?,
            Command::Report(report) => report.run()?,
            Command::Matrix(matrix) => matrix.run()?,
            Command::Baseline(baseline) => baseline.run()?,
        };
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // A reader such as `head` that has seen enough is no failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Write(error)),
            _ => Ok(status),
        }
    }
}

/// What a command found: the exit code, and the text for standard output.
///
/// The text is complete before any of it is written, so that an output closed early can't change
/// the verdict.
#[derive(Debug)]
struct Answer {
    status: Status,
    text: String,
}

/// Exit codes, as `--help` lists them. Clap itself exits with 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing is wrong.
    Clean = 0,
    /// The check found something.
    Findings = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The input was read and makes no sense (`EX_DATAERR`).
    BadInput = 65,
    /// The input cannot be read (`EX_NOINPUT`).
    NoInput = 66,
    /// The mock does not answer (`EX_UNAVAILABLE`).
    NoMock = 69,
    /// The answer cannot be written (`EX_IOERR`).
    NoOutput = 74,
    /// SIGHUP ended it.
    HungUp = 129,
    /// SIGINT ended it.
    Interrupted = 130,
    /// SIGTERM ended it.
    Terminated = 143,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// Why a command gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Provenance(#[from] ProvenanceError),
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    #[error("no case fits {0}")]
    NoCase(String),
    #[error("--capabilities makes no sense: {0}")]
    Capability(#[from] UnknownCapability),
    #[error("the capability push needs --push-cmd")]
    NoPushCommand,
    #[error(transparent)]
    Mock(ControlError),
    #[error("the bot cannot be run: sh ended with {code}, and said:\n{}", said.trim_end())]
    NoBot { code: i32, said: String },
    #[error("ended by a signal; {played} cases were played, and nothing is reported")]
    Ended { status: Status, played: usize },
    #[error("--out {} is where the same is written as JSON", .0.display())]
    PageIsJson(std::path::PathBuf),
    #[error("cannot start")]
    Start(#[source] io::Error),
    #[error(transparent)]
    Results(#[from] ReportError),
    #[error("cannot read {}", path.display())]
    ReadFile {
        path: std::path::PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {}", path.display())]
    WriteFile {
        path: std::path::PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the answer")]
    Write(#[source] io::Error),
}

impl CliError {
    /// Exit code that goes with the error.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Mock(ControlError::Unreachable { .. }) => Status::NoMock,
            Self::Ended { status, .. } => *status,
            Self::NoCase(_)
            | Self::Mock(_)
            | Self::Capability(_)
            | Self::NoPushCommand
            | Self::NoBot { .. }
            | Self::PageIsJson(_) => Status::Usage,
            Self::Suite(SuiteError::Read { .. })
            | Self::Baseline(BaselineError::Read { .. })
            | Self::Results(ReportError::Read { .. })
            | Self::ReadFile { .. }
            | Self::Start(_) => Status::NoInput,
            Self::Provenance(ProvenanceError::Parse { .. })
            | Self::Suite(_)
            | Self::Baseline(_)
            | Self::Results(_) => Status::BadInput,
            Self::Provenance(_) => Status::NoInput,
            Self::WriteFile { .. } | Self::Write(_) => Status::NoOutput,
        }
    }

    /// Writes what went wrong, why, and what to try.
    pub(crate) fn explain(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "error: {self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            writeln!(out, "because: {}", error.to_string().trim_end())?;
            cause = error.source();
        }
        writeln!(out, "try: {}", self.advice())
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::Provenance(ProvenanceError::Parse { .. }) => {
                "mend the line that is named; README.md beside the file lists the keys of an entry"
            }
            Self::Provenance(ProvenanceError::Fixtures(FixturesError::NotAFolder { .. })) => {
                "--dir takes the folder that holds provenance.toml, not a file of it"
            }
            Self::Provenance(_) => {
                "run at the root of the workspace, or pass --dir PATH of the folder that holds \
                 provenance.toml"
            }
            Self::Suite(SuiteError::Read { .. }) => {
                "run at the root of the workspace, or pass --dir PATH of the folder that holds \
                 requirements/ and scenarios/"
            }
            Self::Suite(_) => {
                "mend what is named; the README of the suite says what files look like"
            }
            Self::Baseline(BaselineError::Defects { .. }) => {
                "a table for each defect: [name], reason = \"…\", cases = [\"area/*\"]"
            }
            Self::Baseline(_) => {
                "pass --baseline FILE with lines such as \"area/case\" = \"reason\""
            }
            Self::NoCase(_) => "look at `dingtalk-conformance list`; * stands for anything",
            Self::Capability(_) => "pass some of those, with commas between them",
            Self::NoPushCommand => {
                "pass --push-cmd CMD, with {target}, {text} and {media} in the places of these words"
            }
            Self::Mock(_) => {
                "pass --mock with the URL of a ready line, such as http://127.0.0.1:8080"
            }
            Self::NoBot { code: 126, .. } => {
                "give --subject a command that may be executed: look at its permissions"
            }
            Self::NoBot { .. } => {
                "give --subject a command that is there: look at its path; relative ones begin at \
                 this folder"
            }
            Self::Ended { .. } => "play fewer cases with --case or --area",
            Self::PageIsJson(_) => "give it a name that ends in .html",
            Self::Start(_) => "look at the limits of this machine: processes, files, memory",
            Self::Results(_) => "pass the folder that `run --report DIR` wrote",
            Self::ReadFile { .. } => "name a file that can be read",
            Self::WriteFile { .. } => "name a file or folder that can be made and written",
            Self::Write(_) => "look at where standard output goes: is the disk full?",
        }
    }
}
