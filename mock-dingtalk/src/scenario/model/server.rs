//! The endpoint of a model that plays a script.

use std::{collections::BTreeSet, convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{Ending, Line, Manner, Piece, Question, Script, completion};

/// What the key is; nobody else's.
const KEY: &str = "sk-scripted-model-of-the-suite";
/// Pictures come in base64.
const MAX_BODY: usize = 64 << 20;

/// A model that plays a scenario's script: an OpenAI-compatible endpoint on loopback. It is gone when
/// dropped.
#[derive(Debug)]
pub struct Model {
    url: String,
    name: String,
    stage: Arc<Stage>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Stage {
    models: Vec<String>,
    seen: watch::Sender<Talk>,
}

/// What has happened to it.
#[derive(Debug)]
pub(crate) struct Talk {
    /// Lines that are left.
    lines: Vec<Line>,
    /// What holds no answer back any more.
    released: BTreeSet<String>,
    /// Words that people said.
    heard: Vec<String>,
    /// What it was asked.
    pub(crate) asked: Vec<Question>,
    /// Answers that nobody listened to until their end.
    pub(crate) left: usize,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Model {
    /// Starts it on a port of its own. The error is that of the socket.
    pub(in crate::scenario) async fn start(script: &Script) -> io::Result<Self> {
        let models = script.models();
        let name = models.first().cloned().unwrap_or_default();
        let (seen, _) = watch::channel(Talk {
            lines: script.lines.clone(),
            released: BTreeSet::new(),
            heard: Vec::new(),
            asked: Vec::new(),
            left: 0,
        });
        let stage = Arc::new(Stage { models, seen });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/v1", listener.local_addr()?);
        let routes = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models", get(models_of))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Arc::clone(&stage));
        let server = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { url, name, stage, server })
    }

    /// The variables that lead an agent here: `OPENAI_BASE_URL`, `OPENAI_API_KEY`, `OPENAI_MODEL`.
    pub fn env(&self) -> [(&'static str, String); 3] {
        [
            ("OPENAI_BASE_URL", self.url.clone()),
            ("OPENAI_API_KEY", KEY.to_owned()),
            ("OPENAI_MODEL", self.name.clone()),
        ]
    }

    /// A person says this: where a question ends with it, it is what the echo repeats. Agents put the
    /// speaker's name or a quote before it.
    pub(in crate::scenario) fn hear(&self, words: &str) {
        self.stage.seen.send_modify(|seen| seen.heard.push(words.trim().to_owned()));
    }

    /// Lets all answers go on that this holds back.
    pub(in crate::scenario) fn release(&self, hold: &str) {
        self.stage.seen.send_modify(|seen| {
            seen.released.insert(hold.to_owned());
        });
    }

    /// What `look` makes of what has happened, once it makes something of it.
    pub(in crate::scenario) async fn wait<R>(
        &self,
        patience: Duration,
        mut look: impl FnMut(&Talk) -> Option<R>,
    ) -> Option<R> {
        let mut changes = self.stage.seen.subscribe();
        let search = async {
            loop {
                if let Some(found) = look(&changes.borrow_and_update()) {
                    return Some(found);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, search).await.ok().flatten()
    }

    pub(in crate::scenario) fn look<R>(&self, look: impl FnOnce(&Talk) -> R) -> R {
        look(&self.stage.seen.borrow())
    }
}

impl Talk {
    /// Takes the line for a question. Without one the question is the answer.
    fn manner(&mut self, question: &Question) -> Manner {
        let fits =
            |line: &Line| line.to.as_ref().is_none_or(|part| question.last.contains(part.as_str()));
        if let Some(at) = self.lines.iter().position(fits) {
            if self.lines[at].always {
                return self.lines[at].manner.clone();
            }
            return self.lines.remove(at).manner;
        }
        let question = question.last.trim();
        let said = self.heard.iter().filter(|words| question.ends_with(words.as_str()));
        let words = said.max_by_key(|words| words.len()).map_or(question, String::as_str);
        Manner::Say { pieces: vec![Piece::Words(words.to_owned())], ending: Ending::Stop }
    }
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(completion::error(message))).into_response()
}

/// 401 for any other key, as endpoints answer.
fn check_key(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given.and_then(|value| value.strip_prefix("Bearer ")) == Some(KEY) {
        return Ok(());
    }
    Err(Box::new(refusal(StatusCode::UNAUTHORIZED, "the key is not that of OPENAI_API_KEY")))
}

async fn models_of(State(stage): State<Arc<Stage>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = check_key(&headers) {
        return *refusal;
    }
    let model = |id: &String| json!({ "id": id, "object": "model", "owned_by": "the suite" });
    let data: Vec<Value> = stage.models.iter().map(model).collect();
    Json(json!({ "object": "list", "data": data })).into_response()
}

async fn complete(State(stage): State<Arc<Stage>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refusal) = check_key(&headers) {
        return *refusal;
    }
    let question = match Question::read(&body) {
        Ok(question) => question,
        Err(problem) => return refusal(StatusCode::BAD_REQUEST, &problem),
    };
    if !stage.models.contains(&question.model) {
        let problem = format!("there is no model {:?}", question.model);
        return refusal(StatusCode::NOT_FOUND, &problem);
    }
    let (model, stream) = (question.model.clone(), question.stream);
    let mut manner = None;
    stage.seen.send_modify(|seen| {
        manner = Some(seen.manner(&question));
        seen.asked.push(question);
    });
    match manner.expect("it was just chosen") {
        Manner::Refuse { status, retry_after } => {
            let status = StatusCode::from_u16(status).expect("it was checked when read");
            let mut response = refusal(status, "the script has the answer refused");
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
        Manner::Say { pieces, ending } => {
            let telling = Telling::new(stage, model, pieces, ending);
            if stream { telling.streamed() } else { telling.whole().await }
        }
    }
}

/// An answer that is being given.
struct Telling {
    stage: Arc<Stage>,
    model: String,
    pieces: std::vec::IntoIter<Piece>,
    ending: Ending,
    over: bool,
}

/// Whoever listened has left.
impl Drop for Telling {
    fn drop(&mut self) {
        if !self.over {
            self.stage.seen.send_modify(|seen| seen.left += 1);
        }
    }
}

impl Telling {
    fn new(stage: Arc<Stage>, model: String, pieces: Vec<Piece>, ending: Ending) -> Self {
        Self { stage, model, pieces: pieces.into_iter(), ending, over: false }
    }

    /// The next words, once nothing holds them back.
    async fn words(&mut self) -> Option<String> {
        loop {
            match self.pieces.next()? {
                Piece::Words(words) => return Some(words),
                Piece::Hold(name) => {
                    let mut seen = self.stage.seen.subscribe();
                    // The stage lives as long as this does.
                    let _ = seen.wait_for(|seen| seen.released.contains(&name)).await;
                }
            }
        }
    }

    fn streamed(self) -> Response {
        let events = stream::unfold(self, async |mut telling| {
            if telling.over {
                return None;
            }
            let event = if let Some(words) = telling.words().await {
                completion::piece(&telling.model, &words)
            } else {
                telling.over = true;
                completion::ending(&telling.model, telling.ending)
            };
            Some((Ok::<_, Infallible>(Bytes::from(event)), telling))
        });
        let kind = [(header::CONTENT_TYPE, "text/event-stream")];
        (kind, Body::from_stream(events)).into_response()
    }

    async fn whole(mut self) -> Response {
        let mut answer = String::new();
        while let Some(words) = self.words().await {
            answer.push_str(&words);
        }
        self.over = true;
        match completion::whole(&self.model, &answer, self.ending) {
            Some(body) => Json(body).into_response(),
            None => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the script has it fail"),
        }
    }
}
