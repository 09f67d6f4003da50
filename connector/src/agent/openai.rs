//! The agent behind any OpenAI-compatible `/v1/chat/completions` endpoint.
//!
//! A session is one person's direct chat, or a whole group, where each message says who wrote it. What
//! was asked is kept with its answer before the answer is said, so that a turn that comes again after a
//! crash finds it; a turn that ends without an answer leaves nothing. Pictures go with their own
//! question only.

mod body;
mod client;
mod completion;
mod error;
mod prompt;
mod reasoning;
mod sessions;
pub mod settings;
mod sse;

use std::sync::Arc;

use serde_json::{Value, json};
use tracing::error;

use self::client::{Audience, ModelClient};
use self::completion::{Completion, Ending};
use self::error::ModelError;
use self::prompt::Prompt;
pub use self::settings::{OpenAiConfig, Times};
use super::control::{SessionSettings, Think, UsageLine, word};
use super::{Agent, AgentError, Answer, Attempt, Commands, Say, Speaker, Turn, TurnId};
use crate::credential::ClientId;
use crate::store::sessions::{Exchange, HistoryLimits, Session, SessionStore};

/// A model, and what it remembers of its conversations.
#[derive(Debug)]
pub struct OpenAi<S: ?Sized> {
    client: ModelClient,
    model: String,
    system_prompt: Option<String>,
    /// Sessions of one robot are nothing to another.
    client_id: ClientId,
    store: Arc<S>,
}

/// What is remembered of a session, and sent with each question.
const HISTORY: HistoryLimits = HistoryLimits { exchanges: 50, bytes: 256 << 10 };

impl<S: SessionStore + ?Sized> OpenAi<S> {
    /// Nothing is sent yet.
    pub fn new(config: OpenAiConfig, client_id: ClientId, store: Arc<S>) -> Self {
        let client = ModelClient::new(&config);
        let OpenAiConfig { model, system_prompt, .. } = config;
        Self { client, model, system_prompt, client_id, store }
    }

    async fn answer(
        &self,
        attempt: Attempt,
        turn: Turn,
        speaker: &Speaker,
    ) -> Result<(), AgentError> {
        if attempt.said > 0 {
            return Ok(());
        }
        let key = self.key(&turn);
        let session = self.store.session(&key).await.map_err(|e| not_kept(&e))?;
        // An earlier process had the answer, and died before it could say it.
        let TurnId(number) = attempt.turn;
        if let Some(known) = session.exchanges.iter().find(|known| known.turn == number) {
            speaker.say(Say::markdown(known.answer.clone())).await;
            return Ok(());
        }
        speaker.typing().await;
        let prompt = tokio::task::spawn_blocking(move || prompt::read(&turn))
            .await
            .map_err(|e| AgentError(format!("the message's files cannot be read: {e}")))?;
        let model = session.settings.model.clone().unwrap_or_else(|| self.model.clone());
        let body = request(
            &model,
            session.settings.think,
            &messages(self.system_prompt.as_deref(), &session, &prompt),
        );
        let mut audience = Audience { speaker, has_read: String::new() };
        let whole = match self.client.complete(body, Some(&mut audience)).await {
            Ok(whole) => whole,
            Err(e) => {
                let Some(words) = e.for_people() else { return Err(failed(&e)) };
                error!(turn = number, "the model did not answer: {e}");
                // What was read already does not go away.
                if matches!(e, ModelError::Silent { .. }) && !audience.has_read.trim().is_empty() {
                    speaker.say(Say::markdown(audience.has_read)).await;
                }
                speaker.say(Say::text(words)).await;
                return Ok(());
            }
        };
        let answer = whole.text.clone() + ending(whole.ending);
        let exchange = Exchange { turn: number, question: prompt.text, answer: answer.clone() };
        self.store
            .exchanged(&key, exchange, whole.tokens, HISTORY)
            .await
            .map_err(|e| not_kept(&e))?;
        let below = usage_line(&session.settings, &model, &whole);
        speaker.say(Say::markdown(answer + &below)).await;
        Ok(())
    }
}

impl<S: SessionStore + std::fmt::Debug + Send + Sync + ?Sized + 'static> Agent for OpenAi<S> {
    fn turn(&self, attempt: Attempt, turn: Turn, speaker: Speaker) -> Answer<'_> {
        Box::pin(async move { self.answer(attempt, turn, &speaker).await })
    }

    fn commands(&self) -> Commands<'_> {
        Commands::Ours(Some(self))
    }
}

/// What stands below an answer that is not whole.
fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Whole => "",
        Ending::CutOff => "\n\n…（回答达到长度上限 / cut off at the model's limit）",
        Ending::Filtered => "\n\n…（回答被内容过滤截断 / cut off by the model's content filter）",
    }
}

fn usage_line(settings: &SessionSettings, model: &str, whole: &Completion) -> String {
    let tokens = whole.tokens;
    let counted = format!("↑{} ↓{} tokens", tokens.prompt, tokens.completion);
    match settings.usage {
        UsageLine::Off => String::new(),
        UsageLine::Tokens => format!("\n\n---\n{counted}"),
        UsageLine::Full => format!("\n\n---\n{model} · {counted}"),
    }
}

/// Body of `POST /chat/completions`.
fn request(model: &str, think: Think, messages: &[Value]) -> Value {
    let mut body = json!({
        "model": model,
        "messages": messages,
        "stream": true,
    });
    if think != Think::Off {
        body["reasoning_effort"] = word(&think).into();
    }
    body
}

/// The system prompt, what was said, and the question.
fn messages(system_prompt: Option<&str>, session: &Session, question: &Prompt) -> Vec<Value> {
    let mut messages = remembered(system_prompt, session.summary.as_deref(), &session.exchanges);
    let content = if question.pictures.is_empty() {
        question.text.clone().into()
    } else {
        let picture = |url| json!({ "type": "image_url", "image_url": { "url": url } });
        let mut parts = vec![json!({ "type": "text", "text": question.text })];
        parts.extend(question.pictures.iter().map(picture));
        Value::Array(parts)
    };
    messages.push(json!({ "role": "user", "content": content }));
    messages
}

fn remembered(
    system_prompt: Option<&str>,
    summary: Option<&str>,
    exchanges: &[Exchange],
) -> Vec<Value> {
    let message = |role: &str, content: &str| json!({ "role": role, "content": content });
    let summary = summary.map(|summary| format!("Summary of the conversation so far:\n{summary}"));
    // One system message: some servers take no second one.
    let system: Vec<_> = system_prompt.into_iter().chain(summary.as_deref()).collect();
    let mut messages = Vec::new();
    if !system.is_empty() {
        messages.push(message("system", &system.join("\n\n")));
    }
    for exchange in exchanges {
        messages.push(message("user", &exchange.question));
        messages.push(message("assistant", &exchange.answer));
    }
    messages
}

fn failed(e: &ModelError) -> AgentError {
    AgentError(e.to_string())
}

fn not_kept(e: &crate::store::StoreError) -> AgentError {
    AgentError(format!("the session cannot be read or kept: {e}"))
}
