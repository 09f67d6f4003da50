//! Exit codes, and the one sentence that goes with a bad one.

use std::process::ExitCode;

use mock_dingtalk::ControlError;

/// The codes, as `--help` prints them.
pub(super) const HELP: &str = "\
Exit codes:
  0    done
  1    failed, or refused by the mock that was asked; of `healthcheck`, any failure; of `replay`:
       the bot behaved otherwise; of `scenario run`: it does not pass
  2    wrong usage
  69   the port cannot be had, or no mock answers
  73   the ready file or the certificate cannot be written
  124  waited in vain (--wait)
  126  COMMAND cannot be executed
  127  COMMAND does not exist
`run` exits with COMMAND's own status, or 128 + N if signal N ended it; `scenario run` with the latter
if a signal ended it.";

/// Why the program ends without having done what it was asked to.
#[derive(Debug)]
pub(super) struct Exit {
    code: u8,
    sentence: String,
}

impl From<ControlError> for Exit {
    fn from(error: ControlError) -> Self {
        let sentence = error.to_string();
        match error {
            ControlError::BadUrl(_) => Self::usage(sentence),
            ControlError::Unreachable { .. } => Self::unavailable(sentence),
            _ => Self::failed(sentence),
        }
    }
}

impl Exit {
    pub(super) fn failed(sentence: String) -> Self {
        Self { code: 1, sentence }
    }

    pub(super) fn usage(sentence: String) -> Self {
        Self { code: 2, sentence }
    }

    pub(super) fn unavailable(sentence: String) -> Self {
        Self { code: 69, sentence }
    }

    pub(super) fn cannot_create(sentence: String) -> Self {
        Self { code: 73, sentence }
    }

    pub(super) fn in_vain(sentence: String) -> Self {
        Self { code: 124, sentence }
    }

    /// The same failure with the code of any failure.
    pub(super) fn into_failure(self) -> Self {
        Self { code: 1, ..self }
    }

    pub(super) fn not_executable(sentence: String) -> Self {
        Self { code: 126, sentence }
    }

    pub(super) fn not_found(sentence: String) -> Self {
        Self { code: 127, sentence }
    }

    #[expect(clippy::print_stderr, reason = "the one place where errors are printed")]
    pub(super) fn report(self) -> ExitCode {
        eprintln!("mock-dingtalk: {}", self.sentence);
        ExitCode::from(self.code)
    }
}
