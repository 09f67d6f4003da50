//! What answers: one turn in, what is to be said out.

pub mod attach;
pub mod control;
pub mod echo;
pub mod none;
pub mod openai;

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use tokio::sync::mpsc;

use crate::markdown::title_of;
use crate::protocol::{
    ConversationId, ConversationType, Media, MsgId, ProcessQueryKey, RobotMessage, SenderId,
    SenderStaffId,
};

pub use attach::Attach;
pub use control::{Commands, SessionControl, SessionSettings};
pub use echo::Echo;
pub use none::Silent;
pub use openai::OpenAi;

/// One message for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Names the message; missing where DingTalk left it out.
    pub msg_id: Option<MsgId>,
    /// Whether the writer may give commands, where the agent has any.
    pub command_authorized: bool,
    /// What the account's own rules say of the writer.
    pub standing: Standing,
    /// The chat it belongs to.
    pub conversation_id: ConversationId,
    /// Whether that is a group.
    pub conversation_type: ConversationType,
    /// Title of the group.
    pub conversation_title: Option<String>,
    /// Whether the robot was mentioned; so it is wherever nobody says that it was not.
    pub mentioned: bool,
    /// Who wrote it. Missing for people from outside of the organisation.
    pub sender_staff_id: Option<SenderStaffId>,
    /// The writer's encrypted id.
    pub sender_id: Option<SenderId>,
    /// Display name of the writer.
    pub sender_nick: Option<String>,
    /// What was written, with a mark such as `[picture 1]` where a file stood; empty only if something
    /// is quoted without a word.
    pub text: String,
    /// Whether there are words besides such marks.
    pub has_words: bool,
    /// What came with it and with what it quotes, in the order of the marks.
    pub attachments: Vec<Attachment>,
    /// The message that it answers.
    pub quote: Option<Quoted>,
}

#[cfg(test)]
impl Turn {
    /// Some words, written to the robot alone by nobody in particular.
    pub(crate) fn of_words(text: &str) -> Self {
        Self {
            msg_id: None,
            command_authorized: true,
            standing: Standing::Admitted,
            conversation_id: ConversationId::new("cid"),
            conversation_type: ConversationType::Direct,
            conversation_title: None,
            mentioned: true,
            sender_staff_id: None,
            sender_id: None,
            sender_nick: None,
            text: text.to_owned(),
            has_words: true,
            attachments: Vec::new(),
            quote: None,
        }
    }
}

/// What an account's own rules say of whoever wrote. It matters where the agent itself decides who may talk:
/// what the connector does by itself, it does for those who are admitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// They admit the message.
    #[default]
    Admitted,
    /// They leave it to a pairing, of which only the agent knows.
    Unsettled,
    /// They refuse it.
    Refused,
}

/// Names a turn in one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TurnId(pub i64);

/// One try at a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Names the turn: the same when it comes again.
    pub turn: TurnId,
    /// A process before this one may have begun it.
    pub resumed: bool,
    /// How many things were said in it before, all of which are kept and are not to be said again.
    pub said: u64,
    /// `seq` of the last of the agent's events that is kept; 0 before the first.
    pub seq: u64,
}

/// A file that came with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it is.
    pub kind: AttachmentKind,
    /// Where it is to be had.
    pub media: Media,
    /// The file on this machine, for 7 days, or why it could not be had. `None` before it was tried.
    pub file: Option<Result<PathBuf, Missing>>,
}

/// Why a file could not be had. What more is known is in the log only: addresses and paths are
/// nobody else's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// It came without a `downloadCode`.
    #[error("it came without a way to fetch it")]
    NoCode,
    /// It has more bytes than are fetched.
    #[error("it is too large")]
    TooLarge,
    /// DingTalk, or its storage, does not hand it out (any more).
    #[error("it has expired, or DingTalk refused it")]
    Refused,
    /// Nothing answers where it should be.
    #[error("it cannot be reached at the moment")]
    Unreachable,
    /// It cannot be written here.
    #[error("it could not be stored")]
    NotStored,
    /// Nobody has admitted its sender so far.
    #[error("it was not fetched, since nobody had admitted its sender yet; it can be sent again")]
    NotAdmitted,
}

impl Missing {
    /// What a person is told who sent it.
    pub fn for_people(self) -> String {
        let chinese = match self {
            Self::NoCode => "消息没有带下载码",
            Self::TooLarge => "文件太大",
            Self::Refused => "文件已过期或被拒绝",
            Self::Unreachable => "暂时连不上",
            Self::NotStored => "保存失败",
            Self::NotAdmitted => "发送者尚未获准，可以再发一次",
        };
        format!("收到的文件取不回来：{chinese}\nA file of yours cannot be had: {self}")
    }
}

/// One thing that an agent says.
///
/// Answers that wait are kept in this form. A new variant or member, here or in [`RobotMessage`],
/// needs a new schema version of the store, even one without a change, so that an older release leaves
/// the file alone; and what was kept before must stay readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Say {
    /// Words.
    Message(RobotMessage),
    /// A file of this machine; it is uploaded when it is sent.
    File {
        /// How it is shown.
        kind: AttachmentKind,
        /// Where it is.
        path: PathBuf,
        /// Shown name, with its extension.
        name: String,
    },
    /// A recording of a voice; what DingTalk does not play as one (amr or ogg, 2 MB) goes as a file.
    Voice {
        /// Where it is on this machine.
        path: PathBuf,
        /// Its name, with its extension.
        name: String,
        /// How long it is, in milliseconds.
        duration_ms: u64,
    },
    /// A video; what DingTalk does not play as one (mp4, 20 MB) goes as a file.
    Video {
        /// Where it is on this machine.
        path: PathBuf,
        /// Its name, with its extension.
        name: String,
        /// The picture that is shown before it plays, on this machine: DingTalk wants one.
        cover: PathBuf,
        /// How long it is, in milliseconds.
        duration_ms: u64,
    },
}

impl Say {
    /// Plain words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Message(RobotMessage::Text(text.into()))
    }

    /// Markdown of any length; its title is its first line with words.
    pub fn markdown(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::Message(RobotMessage::Markdown { title: title_of(&text), text })
    }

    /// Words that may be Markdown. What has no marks goes as plain text, which keeps its line ends.
    pub fn of_words(text: String) -> Self {
        const TITLE: usize = 20;
        let list =
            |line: &str| ["- ", "+ ", "1. "].iter().any(|mark| line.trim_start().starts_with(mark));
        if !text.contains(['*', '_', '`', '#', '>', '[', '|', '~']) && !text.lines().any(list) {
            return Self::text(text);
        }
        let bare = |line: &str| {
            let line = line.trim_matches(|c: char| !c.is_alphanumeric());
            line.chars().take(TITLE).collect::<String>()
        };
        let title = text.lines().map(bare).find(|line| !line.is_empty());
        let title = title.unwrap_or_else(|| "…".to_owned());
        Self::Message(RobotMessage::Markdown { title, text })
    }

    /// What a person reads of it.
    pub fn words(&self) -> String {
        match self {
            Self::Message(message) => message.words(),
            Self::File { name, .. } => format!("[file: {name}]"),
            Self::Voice { name, .. } => format!("[audio: {name}]"),
            Self::Video { name, .. } => format!("[video: {name}]"),
        }
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AttachmentKind {
    /// A picture.
    Picture,
    /// A recording of a voice.
    Audio,
    /// A video.
    Video,
    /// Anything else.
    File,
}

/// A message that another one answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// Which one it is.
    pub msg_id: Option<MsgId>,
    /// The robot itself sent it, under this key.
    pub process_query_key: Option<ProcessQueryKey>,
    /// Display name of who wrote it, where it came along.
    pub sender_nick: Option<String>,
    /// Its words; empty where only its id came along, and the robot does not know them itself (any more).
    pub text: String,
    /// What it quotes itself.
    pub quote: Option<Box<Quoted>>,
}

/// An agent could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AgentError(pub String);

/// The answer to a turn, under way: it has ended well, or has failed. What was said until then has been
/// said by a [`Speaker`].
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), AgentError>> + Send + 'a>>;

/// What an agent does while it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Utterance {
    /// It is at work.
    Typing,
    /// The words of the next [`Say`](Self::Say) so far, from their beginning. Shown where that is possible,
    /// and worth nothing without the `Say` that ends it.
    Partial(String),
    /// Something is said.
    Say(Say),
    /// An event of an agent outside of this process.
    Event(Event),
}

/// What an agent outside of this process reports: it is told when that is kept, and may be told twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number within the turn.
    pub seq: u64,
    /// What is said, kept all at once.
    pub says: Vec<Say>,
    /// The turn ends with it.
    pub end: Option<Result<(), AgentError>>,
    /// Hears of its being kept.
    pub receipt: Receipt,
}

/// Hears once what became of an event. When it is dropped before, the event was not kept.
#[derive(Debug, Clone)]
pub struct Receipt(mpsc::Sender<Taken>);

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is kept.
    Kept,
    /// It is not, since much was said already; it may come again.
    TooMany {
        /// Not before this time has passed.
        retry_after: Duration,
    },
}

impl Receipt {
    /// One, and where it is heard.
    pub fn new() -> (Self, mpsc::Receiver<Taken>) {
        let (receipt, heard) = mpsc::channel(1);
        (Self(receipt), heard)
    }

    /// The event is kept.
    pub fn give(self) {
        // Whoever asked may be gone: its repeat is recognised.
        let _ = self.0.try_send(Taken::Kept);
    }

    /// Too much was said already.
    pub fn refuse(self, retry_after: Duration) {
        let _ = self.0.try_send(Taken::TooMany { retry_after });
    }
}

impl PartialEq for Receipt {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Eq for Receipt {}

/// An agent's mouth for one turn. What is said comes out in order, while the agent goes on.
#[derive(Debug, Clone)]
pub struct Speaker(mpsc::Sender<Utterance>);

/// Utterances of a turn that may wait to be taken.
const UTTERANCES: usize = 64;

impl Speaker {
    /// A mouth and its ear.
    pub fn new() -> (Self, mpsc::Receiver<Utterance>) {
        let (mouth, ear) = mpsc::channel(UTTERANCES);
        (Self(mouth), ear)
    }

    /// Says one thing. Waits while much is unheard; a turn that was ended hears nothing more.
    pub async fn say(&self, say: Say) {
        self.utter(Utterance::Say(say)).await;
    }

    /// Shows the words of the next thing to be said, so far and from their beginning.
    pub async fn partial(&self, text: String) {
        self.utter(Utterance::Partial(text)).await;
    }

    /// Shows that the agent is at work.
    pub async fn typing(&self) {
        self.utter(Utterance::Typing).await;
    }

    /// Reports an event. Whether it was kept is heard from its receipt.
    pub async fn report(&self, event: Event) {
        self.utter(Utterance::Event(event)).await;
    }

    async fn utter(&self, utterance: Utterance) {
        // Nobody listens any more: the turn was stopped, and its future is about to be dropped.
        let _ = self.0.send(utterance).await;
    }
}

/// How the turns of one conversation follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The next one begins when the last one has ended.
    OneAtATime,
    /// They are handed over in order, without waiting for the end of earlier ones: the agent has a
    /// queue of its own.
    Flowing,
}

/// Whatever turns a message into an answer.
pub trait Agent: std::fmt::Debug + Send + Sync + 'static {
    /// How the turns of a conversation follow each other. Under [`Pace::Flowing`] a turn counts as handed
    /// over when its future was polled once.
    fn pace(&self) -> Pace {
        Pace::OneAtATime
    }

    /// Answers one turn through `speaker`; nothing at all is an answer, too. A turn that is to stop is
    /// dropped.
    fn turn(&self, attempt: Attempt, turn: Turn, speaker: Speaker) -> Answer<'_>;

    /// Whether nobody ever waits for its answers, so that no sign of its work is needed.
    fn answers_at_once(&self) -> bool {
        false
    }

    /// Whether it decides itself who may talk, so that every message is a turn for it.
    fn admits_by_itself(&self) -> bool {
        false
    }

    /// Who understands commands such as `/new`.
    fn commands(&self) -> Commands<'_> {
        Commands::Verbatim
    }
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AgentKind {
    /// Text comes back verbatim, files come back as they were sent.
    Echo,
    /// Messages are acked, and nothing is said: for measuring.
    None,
    /// A model behind any `/v1/chat/completions` endpoint (`OPENAI_BASE_URL`, `OPENAI_MODEL`).
    #[value(name = "openai")]
    OpenAi,
    /// Whatever program opens the agent link.
    Attach,
    /// The OpenClaw gateway through its plugin, which attaches; it decides who may talk, too.
    #[value(name = "openclaw")]
    OpenClaw,
}

impl AgentKind {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::None => "none",
            Self::OpenAi => "openai",
            Self::Attach => "attach",
            Self::OpenClaw => "openclaw",
        }
    }

    /// Whether it is a program that attaches over the [agent link](crate::link).
    pub fn attaches(self) -> bool {
        matches!(self, Self::Attach | Self::OpenClaw)
    }
}
