//! What commands do to the sessions of a model.

use serde_json::json;
use tracing::warn;

use super::completion::Ending;
use super::{OpenAi, failed, not_kept, remembered, request};
use crate::agent::control::{
    Choice, Compacted, Controlled, SessionControl, SessionSettings, SessionStatus, Think, UsageLine,
};
use crate::agent::{AgentError, Turn};
use crate::protocol::{ConversationType, SenderStaffId};
use crate::store::sessions::{Session, SessionKey, SessionStore};

/// Exchanges that stay as they are when what was before them becomes a summary.
const STAY: usize = 2;

/// The longest name of a model, in bytes.
const LONGEST_NAME: usize = 200;

const SUMMARISE: &str = "Summarise our conversation so far for yourself, in its language, so that you \
    can go on without it: facts, names, numbers, decisions, open questions. Be brief. Give the summary \
    only.";

impl<S: SessionStore + ?Sized> OpenAi<S> {
    /// A person's direct chat is a session, and so is a whole group.
    pub(super) fn key(&self, turn: &Turn) -> SessionKey {
        let conversation = turn.conversation_id.as_str();
        let name = if turn.conversation_type == ConversationType::Group {
            format!("group {conversation}")
        } else {
            let sender = turn.sender_staff_id.as_ref().map_or("", SenderStaffId::as_str);
            format!("direct {conversation} {sender}")
        };
        SessionKey { client_id: self.client_id.clone(), name }
    }

    async fn session(&self, turn: &Turn) -> Result<Session, AgentError> {
        self.store.session(&self.key(turn)).await.map_err(|e| not_kept(&e))
    }

    async fn change(
        &self,
        turn: &Turn,
        change: impl FnOnce(&mut SessionSettings) + Send,
    ) -> Result<(), AgentError> {
        let mut settings = self.session(turn).await?.settings;
        change(&mut settings);
        self.store.set(&self.key(turn), settings).await.map_err(|e| not_kept(&e))
    }

    async fn shorten(&self, turn: &Turn, wish: &str) -> Result<Compacted, AgentError> {
        let session = self.session(turn).await?;
        let Some(old) = session.exchanges.len().checked_sub(STAY).filter(|&old| old > 0) else {
            return Ok(Compacted::TooShort);
        };
        let (old, stay) = session.exchanges.split_at(old);
        let Some(last) = old.last() else { return Ok(Compacted::TooShort) };
        let system = self.system_prompt.as_deref();
        let mut messages = remembered(system, session.summary.as_deref(), old);
        let wish = if wish.is_empty() { String::new() } else { format!(" What matters: {wish}") };
        messages.push(json!({ "role": "user", "content": format!("{SUMMARISE}{wish}") }));
        let model = session.settings.model.as_deref().unwrap_or(&self.model);
        let body = request(model, session.settings.think, &messages);
        let whole = self.client.complete(body, None).await.map_err(|e| failed(&e))?;
        self.store.used(&self.key(turn), whole.tokens).await.map_err(|e| not_kept(&e))?;
        // Half a summary would forget the other half.
        if whole.ending != Ending::Whole {
            return Ok(Compacted::NoGain);
        }
        let summary = whole.text;
        let before = session.bytes();
        let after = Session {
            summary: Some(summary.clone()),
            exchanges: stay.to_vec(),
            ..Session::default()
        };
        let after = after.bytes();
        if after >= before {
            return Ok(Compacted::NoGain);
        }
        let kept = self.store.summarised(&self.key(turn), last.turn, summary).await;
        kept.map_err(|e| not_kept(&e))?;
        Ok(Compacted::Done { before, after })
    }

    async fn choice(&self, turn: &Turn, model: Option<&str>) -> Result<Choice, AgentError> {
        let Some(wanted) = model else {
            self.change(turn, |settings| settings.model = None).await?;
            return Ok(Choice::Chosen(self.model.clone()));
        };
        // No model has such a name, and an endpoint without a list would be asked for it each time.
        if wanted.len() > LONGEST_NAME || wanted.contains(char::is_control) {
            return Ok(Choice::Unknown);
        }
        let choice = match self.client.models().await {
            Ok(models) => {
                let same = |model: &&String| model.eq_ignore_ascii_case(wanted);
                let exact = models.iter().find(|model| *model == wanted);
                match exact.or_else(|| models.iter().find(same)) {
                    Some(model) => Choice::Chosen(model.clone()),
                    None => return Ok(Choice::Unknown),
                }
            }
            Err(e) => {
                warn!("the models cannot be listed, so that {wanted:?} is taken unchecked: {e}");
                Choice::Unchecked(wanted.to_owned())
            }
        };
        if let Choice::Chosen(model) | Choice::Unchecked(model) = &choice {
            self.change(turn, |settings| settings.model = Some(model.clone())).await?;
        }
        Ok(choice)
    }
}

impl<S: SessionStore + Send + Sync + ?Sized + 'static> SessionControl for OpenAi<S> {
    fn status<'a>(&'a self, turn: &'a Turn) -> Controlled<'a, SessionStatus> {
        Box::pin(async move {
            let session = self.session(turn).await?;
            Ok(SessionStatus {
                bytes: session.bytes(),
                exchanges: session.exchanges.len(),
                summarised: session.summary.is_some(),
                tokens: session.tokens,
                host: self.client.host(),
                think: session.settings.think,
                usage: session.settings.usage,
                model: session.settings.model.unwrap_or_else(|| self.model.clone()),
            })
        })
    }

    fn forget<'a>(&'a self, turn: &'a Turn) -> Controlled<'a, ()> {
        Box::pin(async move { self.store.forget(&self.key(turn)).await.map_err(|e| not_kept(&e)) })
    }

    fn compact<'a>(&'a self, turn: &'a Turn, wish: &'a str) -> Controlled<'a, Compacted> {
        Box::pin(self.shorten(turn, wish))
    }

    fn models(&self) -> Controlled<'_, Vec<String>> {
        Box::pin(async { self.client.models().await.map_err(|e| failed(&e)) })
    }

    fn choose<'a>(&'a self, turn: &'a Turn, model: Option<&'a str>) -> Controlled<'a, Choice> {
        Box::pin(self.choice(turn, model))
    }

    fn think<'a>(&'a self, turn: &'a Turn, level: Think) -> Controlled<'a, ()> {
        Box::pin(self.change(turn, move |settings| settings.think = level))
    }

    fn show_usage<'a>(&'a self, turn: &'a Turn, usage: UsageLine) -> Controlled<'a, ()> {
        Box::pin(self.change(turn, move |settings| settings.usage = usage))
    }
}
