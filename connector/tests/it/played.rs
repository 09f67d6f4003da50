//! An agent whose turns a test answers.

use std::sync::Arc;

use dingtalk_connector::agent::{Agent, Answer, Attempt, Commands, Speaker, Turn};
use tokio::sync::mpsc;

/// A turn that a test answers.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) attempt: Attempt,
    pub(crate) turn: Turn,
    pub(crate) speaker: Speaker,
    /// Ends the turn when it is dropped.
    pub(crate) _end: tokio::sync::oneshot::Sender<()>,
}

/// An agent that hands its turns to a test.
#[derive(Debug)]
pub(crate) struct Played(mpsc::UnboundedSender<Asked>);

impl Played {
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Asked>) {
        let (asks, asked) = mpsc::unbounded_channel();
        (Arc::new(Self(asks)), asked)
    }
}

impl Agent for Played {
    fn commands(&self) -> Commands<'_> {
        Commands::Ours(None)
    }

    fn turn(&self, attempt: Attempt, turn: Turn, speaker: Speaker) -> Answer<'_> {
        let (end, ended) = tokio::sync::oneshot::channel();
        self.0.send(Asked { attempt, turn, speaker, _end: end }).unwrap();
        Box::pin(async {
            let _ = ended.await;
            Ok(())
        })
    }
}
