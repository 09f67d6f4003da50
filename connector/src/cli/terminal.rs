//! Questions to the person at the terminal. They go to stderr, since stdout carries data only.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use super::exit_code::{ExitCode, Failure};
use super::output;
use super::signals::Signals;

/// A terminal at which a person sits.
pub(super) struct Terminal {
    signals: Signals,
}

/// One of several answers.
pub(super) struct Choice<'a> {
    pub(super) name: &'a str,
    pub(super) hint: &'a str,
}

impl Terminal {
    /// The terminal, if questions can be seen and answered. From now on Ctrl-C ends the question that it
    /// interrupts, with the terminal as it was.
    pub(super) fn open() -> Result<Option<Self>, Failure> {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Ok(None);
        }
        Ok(Some(Self { signals: Signals::catch()? }))
    }

    /// Asks for a line; an empty answer is the default, and comes again where there is none.
    pub(super) async fn line(
        &mut self,
        question: &str,
        default: Option<&str>,
    ) -> Result<String, Failure> {
        let shown = default.map_or(String::new(), |default| format!(" [{default}]"));
        loop {
            output::prompt(&format!("{question}{shown}: "));
            let answer = self.answered(read_line).await?;
            match (answer.trim(), default) {
                ("", Some(default)) => return Ok(default.to_owned()),
                ("", None) => {}
                (answer, _) => return Ok(answer.to_owned()),
            }
        }
    }

    /// Asks for a secret: each character is shown as a star.
    pub(super) async fn secret(&mut self, question: &str) -> Result<String, Failure> {
        loop {
            // Before the question: what is typed at once must not be seen either.
            let raw = Raw::set().map_err(|e| broken(&e))?;
            output::prompt(&format!("{question}: "));
            let answer = self.answered(read_secret).await;
            drop(raw);
            output::note("");
            let answer = answer?;
            if !answer.trim().is_empty() {
                return Ok(answer.trim().to_owned());
            }
        }
    }

    /// Asks for one of several; the first one is the default.
    pub(super) async fn choice(
        &mut self,
        question: &str,
        choices: &[Choice<'_>],
    ) -> Result<usize, Failure> {
        output::note(question);
        for (n, Choice { name, hint }) in choices.iter().enumerate() {
            output::note(&format!("  {}) {name}: {hint}", n + 1));
        }
        loop {
            let answer = self.line("1", Some("1")).await?;
            let named = |choice: &Choice<'_>| choice.name.eq_ignore_ascii_case(&answer);
            let number = answer.parse().ok().filter(|n| (1..=choices.len()).contains(n));
            match number.map(|n| n - 1).or_else(|| choices.iter().position(named)) {
                Some(n) => return Ok(n),
                None => output::note(&format!("1-{}", choices.len())),
            }
        }
    }

    /// What is read, unless Ctrl-C or the end of input comes first.
    async fn answered(
        &mut self,
        read: fn() -> io::Result<Option<String>>,
    ) -> Result<String, Failure> {
        let reading = tokio::task::spawn_blocking(read);
        tokio::select! {
            answer = reading => {
                let answer = answer.map_err(io::Error::other).and_then(|answer| answer);
                answer.map_err(|e| broken(&e))?.ok_or_else(|| {
                    Failure::new(ExitCode::Failed, "the input ended; nothing was written")
                })
            }
            _ = self.signals.next() => {
                Err(Failure::new(ExitCode::Interrupted, "interrupted; nothing was written"))
            }
        }
    }
}

fn broken(e: &io::Error) -> Failure {
    Failure::new(ExitCode::Failed, format!("the terminal cannot be read: {e}"))
}

/// `None` at the end of input.
fn read_line() -> io::Result<Option<String>> {
    let mut line = String::new();
    let bytes = io::stdin().lock().read_line(&mut line)?;
    Ok((bytes > 0).then_some(line))
}

/// Reads a terminal that hands out each byte at once and shows none.
fn read_secret() -> io::Result<Option<String>> {
    let mut typed = Typed::default();
    let mut input = io::stdin().lock();
    let mut byte = [0];
    loop {
        if input.read(&mut byte)? == 0 {
            return Ok(None);
        }
        let (shown, done) = typed.take(byte[0]);
        let mut stderr = io::stderr().lock();
        stderr.write_all(shown.as_bytes())?;
        stderr.flush()?;
        match done {
            None => {}
            Some(Done::Line) => return Ok(Some(String::from_utf8_lossy(&typed.0).into_owned())),
            Some(Done::Nothing) => return Ok(None),
        }
    }
}

/// What was typed so far.
#[derive(Debug, Default)]
struct Typed(Vec<u8>);

#[derive(Debug, PartialEq, Eq)]
enum Done {
    Line,
    Nothing,
}

impl Typed {
    /// Takes a byte; says what is shown of it, and whether the line is done.
    fn take(&mut self, byte: u8) -> (String, Option<Done>) {
        const END: u8 = 0x04;
        const BACKSPACE: u8 = 0x08;
        const ERASE_LINE: u8 = 0x15;
        const DELETE: u8 = 0x7f;
        let shown = match byte {
            b'\r' | b'\n' => return (String::new(), Some(Done::Line)),
            END if self.0.is_empty() => return (String::new(), Some(Done::Nothing)),
            BACKSPACE | DELETE => self.erase(1),
            ERASE_LINE => self.erase(usize::MAX),
            // No other control character is part of a secret.
            byte if byte < b' ' => String::new(),
            byte => {
                self.0.push(byte);
                // One star a character, which may be several bytes.
                if is_first(byte) { "*".to_owned() } else { String::new() }
            }
        };
        (shown, None)
    }

    fn erase(&mut self, characters: usize) -> String {
        let mut gone = 0;
        while gone < characters
            && let Some(byte) = self.0.pop()
        {
            gone += usize::from(is_first(byte));
        }
        "\u{8} \u{8}".repeat(gone)
    }
}

/// Whether a byte begins a character.
fn is_first(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

/// A terminal that shows nothing and hands out each byte; it is set back when this is dropped.
struct Raw(Termios);

impl Raw {
    fn set() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no setting.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_typed_seen_as_stars_and_mended() {
        let mut typed = Typed::default();
        let mut shown = String::new();
        for byte in "ab你\u{7f}\u{1b}c\u{15}s3\u{8}4".bytes() {
            let (more, done) = typed.take(byte);
            assert_eq!(done, None);
            shown += &more;
        }
        assert_eq!(typed.take(b'\r'), (String::new(), Some(Done::Line)));
        assert_eq!(typed.0, b"s4");
        assert_eq!(shown.matches('*').count(), 7);
        assert_eq!(shown.matches("\u{8} \u{8}").count(), 5);
        assert_eq!(Typed::default().take(4).1, Some(Done::Nothing));
    }
}
