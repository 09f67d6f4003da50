//! The agent that says what it hears: a first sign of life, and the subject of most tests.

use super::{Agent, Answer, AttachmentKind, Attempt, Commands, Say, Speaker, Turn};

/// Answers with the same text, and with the same files.
#[derive(Debug, Clone, Copy)]
pub struct Echo;

impl Agent for Echo {
    fn turn(&self, attempt: Attempt, turn: Turn, speaker: Speaker) -> Answer<'_> {
        Box::pin(async move {
            let mut said = Vec::new();
            // Marks alone say nothing that the files don't say.
            if (turn.has_words || turn.attachments.is_empty()) && !turn.text.is_empty() {
                said.push(Say::text(turn.text));
            }
            for attachment in turn.attachments {
                match attachment.file {
                    Some(Ok(path)) => {
                        let stored =
                            path.file_name().map(|name| name.to_string_lossy().into_owned());
                        let name = attachment.media.file_name.or(stored).unwrap_or_default();
                        let kind = attachment.kind;
                        said.push(match attachment.media.duration_ms {
                            Some(duration_ms) if kind == AttachmentKind::Audio => {
                                Say::Voice { path, name, duration_ms }
                            }
                            _ => Say::File { kind, path, name },
                        });
                    }
                    Some(Err(missing)) => said.push(Say::text(missing.for_people())),
                    None => {}
                }
            }
            let before = usize::try_from(attempt.said).unwrap_or(usize::MAX);
            for say in said.into_iter().skip(before) {
                speaker.say(say).await;
            }
            Ok(())
        })
    }

    fn answers_at_once(&self) -> bool {
        true
    }

    fn commands(&self) -> Commands<'_> {
        Commands::Ours(None)
    }
}
