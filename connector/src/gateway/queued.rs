//! "排队中": what people hear whose message waits behind others of its chat, or had no room there.
//!
//! A courtesy for agents that take one message after the other: each person of a chat hears it once, until
//! nothing of that chat waits or runs any more. It is no answer, and nothing of it is kept, so that no restart
//! repeats it; an earlier process may have told those whose messages it left.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{debug, info};

use super::conversations::Conversations;
use super::reply::{Question, Replier};
use super::work::{Task, Work};
use crate::agent::{Agent, Pace, Say};
use crate::protocol::{BotMessage, ConversationId, ConversationType, RobotMessage, SenderId};
use crate::store::InboxId;

/// Who hears that they wait, and when.
#[derive(Debug)]
pub(super) struct Notices {
    /// A message that has waited for so long is told of; `None` where nobody is told of any.
    after: Option<Duration>,
    /// Messages to look at, in the order of their times: first for a deep queue, then for a long wait.
    early: VecDeque<Waits>,
    late: VecDeque<Waits>,
    told: HashMap<ConversationId, HashSet<Option<SenderId>>>,
}

#[derive(Debug)]
struct Waits {
    look_at: Instant,
    conversation: ConversationId,
    message: InboxId,
}

/// Somebody is to hear that their message waits, or was not taken.
#[derive(Debug)]
pub(super) struct Notice {
    message: BotMessage,
    /// How many of its chat come before it, those that are being answered included; `None` if there was no room
    /// for it.
    before: Option<usize>,
}

/// Of a wait people hear after this long, unless a setting says something else.
pub const QUEUED_AFTER: Duration = Duration::from_secs(30);
/// So many messages before one's own are a deep queue, of which they hear after a sixth of the time.
const DEEP: usize = 3;
const SOONER: u32 = 6;
/// What takes longer to be said is of no use any more.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is young enough to wait for a day is not a courtesy: a few tries are all.
const NOW: i64 = 0;

impl Notices {
    /// For what this agent is asked. One that answers at once keeps nobody waiting, and one with a queue of
    /// its own speaks for itself.
    pub(super) fn new(after: Option<Duration>, agent: &dyn Agent) -> Self {
        let waits = agent.pace() == Pace::OneAtATime && !agent.answers_at_once();
        Self {
            after: after.filter(|_| waits),
            early: VecDeque::new(),
            late: VecDeque::new(),
            told: HashMap::new(),
        }
    }

    /// A message was queued.
    pub(super) fn watch(&mut self, agent: &dyn Agent, work: &Work, now: Instant) {
        let is_turn = matches!(work.task, Task::Turn(_)) && work.can_be_stopped(agent);
        if let Some(after) = self.after.filter(|_| is_turn) {
            let conversation = work.message.conversation_id.clone();
            let look_at = now + after / SOONER;
            self.early.push_back(Waits { look_at, conversation, message: work.id });
        }
    }

    /// When there may be something to say.
    pub(super) fn next(&self) -> Option<Instant> {
        let first = |queue: &VecDeque<Waits>| queue.front().map(|waits| waits.look_at);
        first(&self.early).into_iter().chain(first(&self.late)).min()
    }

    /// Who is to hear of it now.
    pub(super) fn due(&mut self, now: Instant, queue: &Conversations<Work>) -> Vec<Notice> {
        let mut due = Vec::new();
        while let Some(waits) = self.early.pop_front_if(|waits| waits.look_at <= now) {
            match find(queue, &waits) {
                Some(notice) if notice.before >= Some(DEEP) => due.extend(self.once(notice)),
                Some(_) => {
                    let rest = self.after.unwrap_or_default() * (SOONER - 1) / SOONER;
                    self.late.push_back(Waits { look_at: waits.look_at + rest, ..waits });
                }
                None => {}
            }
        }
        while let Some(waits) = self.late.pop_front_if(|waits| waits.look_at <= now) {
            due.extend(find(queue, &waits).and_then(|notice| self.once(notice)));
        }
        due
    }

    /// A person hears it once, until the chat is quiet.
    fn once(&mut self, notice: Notice) -> Option<Notice> {
        let told = self.told.entry(notice.message.conversation_id.clone()).or_default();
        told.insert(notice.message.sender_id.clone()).then_some(notice)
    }

    /// Nothing of a chat waits or runs any more.
    pub(super) fn quiet(&mut self, conversation: &ConversationId) {
        self.told.remove(conversation);
    }
}

/// A message that still waits.
fn find(queue: &Conversations<Work>, waits: &Waits) -> Option<Notice> {
    let (before, work) = queue.find(&waits.conversation, |work| work.id == waits.message)?;
    Some(Notice { message: work.message.clone(), before: Some(before) })
}

impl Notice {
    /// A message was not taken, since too many of its chat wait.
    pub(super) fn of_full_chat(message: BotMessage) -> Self {
        Self { message, before: None }
    }

    /// Says it, if that goes at once.
    pub(super) async fn tell(self, replier: &Replier) {
        let question = Question { message: &self.message, received_at: NOW };
        let msg_id = self.message.msg_id.as_ref().map_or("", |id| id.as_str());
        match timeout(PATIENCE, replier.reply(&question, &self.say())).await {
            Ok(Ok(_)) => {
                info!(msg_id, before = ?self.before, "somebody was told how a chat's queue stands");
            }
            Ok(Err(e)) => debug!(msg_id, "nobody could be told how a chat's queue stands: {e}"),
            Err(_) => debug!(msg_id, "nobody could be told in time how a chat's queue stands"),
        }
    }

    /// In a group it calls whoever waits.
    fn say(&self) -> Say {
        let words = RobotMessage::Text(words(self.before));
        match (&self.message.conversation_type, &self.message.sender_staff_id) {
            (ConversationType::Group, Some(user)) => Say::Message(RobotMessage::Mention {
                message: Box::new(words),
                user_ids: vec![user.as_str().to_owned()],
                everybody: false,
            }),
            _ => Say::Message(words),
        }
    }
}

fn words(before: Option<usize>) -> String {
    match before {
        None => "排队的消息太多，刚发的没有收下，请稍后再发。\nToo many messages wait in this chat, and the last ones were not taken; please send them again later.".to_owned(),
        Some(0) => "排队中，轮到后会回复。\nQueued: the answer comes when it is its turn.".to_owned(),
        Some(before) => format!(
            "排队中：前面还有 {before} 条消息，轮到后会回复。\nQueued: {before} before yours; the answer comes when it is its turn."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::conversations::Limits;
    use super::*;
    use crate::agent::{Answer, Attempt, Echo, Silent, Speaker, Turn};

    /// An agent that may take its time.
    #[derive(Debug)]
    struct Slow(Pace);

    impl Agent for Slow {
        fn pace(&self) -> Pace {
            self.0
        }

        fn turn(&self, _: Attempt, _: Turn, _: Speaker) -> Answer<'_> {
            Box::pin(async { Ok(()) })
        }
    }

    const AFTER: Duration = Duration::from_secs(30);

    struct Chats {
        notices: Notices,
        queue: Conversations<Work>,
        begin: Instant,
        count: i64,
    }

    impl Chats {
        fn new() -> Self {
            let notices = Notices::new(Some(AFTER), &Slow(Pace::OneAtATime));
            let queue = Conversations::new(Limits { in_all: 100, of_one: 1 });
            Self { notices, queue, begin: Instant::now(), count: 0 }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.begin + Duration::from_secs(seconds)
        }

        fn says(&mut self, sender: &str, chat: &str, seconds: u64) {
            let task = Task::Turn(Box::new(Turn::of_words("?")));
            self.asks(task, sender, chat, seconds);
        }

        fn asks(&mut self, task: Task, sender: &str, chat: &str, seconds: u64) {
            let data = serde_json::json!({
                "conversationId": chat, "conversationType": "2", "senderId": sender,
                "senderStaffId": sender, "msgId": format!("m{}", self.count),
            });
            let message = BotMessage::parse(&data.to_string()).unwrap();
            self.count += 1;
            let id = InboxId::of(self.count);
            let (thinking, seat) = (None, None);
            let work = Work { id, received_at: 0, message, task, thinking, seat };
            self.notices.watch(&Slow(Pace::OneAtATime), &work, self.at(seconds));
            self.queue.push(ConversationId::new(chat), work);
        }

        /// Who hears by then, and of how many before them.
        fn told(&mut self, seconds: u64) -> Vec<(String, usize)> {
            let (now, mut told) = (self.at(seconds), Vec::new());
            while self.notices.next().is_some_and(|next| next <= now) {
                told.extend(self.notices.due(now, &self.queue));
            }
            let sender =
                |notice: &Notice| notice.message.sender_id.as_ref().unwrap().as_str().to_owned();
            told.iter().map(|notice| (sender(notice), notice.before.unwrap())).collect()
        }
    }

    #[test]
    fn who_has_waited_long_hears_it_once_until_the_chat_is_quiet() {
        let mut chats = Chats::new();
        chats.says("anna", "team", 0);
        let (ticket, _) = chats.queue.start().unwrap();
        chats.says("ben", "team", 1);
        chats.says("ben", "team", 2);
        assert_eq!(chats.told(30), [], "anna's runs, and ben has not waited long");
        assert_eq!(chats.told(31), [("ben".to_owned(), 1)]);
        assert_eq!(chats.told(60), [], "nor of the second one");
        chats.queue.finished(&ticket);
        let (ticket, _) = chats.queue.start().unwrap();
        chats.queue.finished(&ticket);
        let (ticket, _) = chats.queue.start().unwrap();
        chats.queue.finished(&ticket);
        assert!(chats.queue.is_over(&ConversationId::new("team")));
        chats.notices.quiet(&ConversationId::new("team"));
        chats.says("anna", "team", 100);
        let (_running, _) = chats.queue.start().unwrap();
        chats.says("ben", "team", 100);
        assert_eq!(chats.told(129), []);
        assert_eq!(chats.told(130), [("ben".to_owned(), 1)]);
        assert_eq!((chats.notices.next(), chats.notices.told.len()), (None, 1));
    }

    #[test]
    fn of_a_deep_queue_people_hear_sooner_and_each_of_them() {
        let mut chats = Chats::new();
        for sender in ["anna", "ben", "carl", "dora", "emil", "emil"] {
            chats.says(sender, "team", 0);
        }
        let (_running, _) = chats.queue.start().unwrap();
        assert_eq!(chats.told(4), []);
        assert_eq!(chats.told(5), [("dora".to_owned(), 3), ("emil".to_owned(), 4)]);
        assert_eq!(chats.told(30), [("ben".to_owned(), 1), ("carl".to_owned(), 2)]);
    }

    #[test]
    fn what_is_no_new_question_or_left_the_queue_is_not_told_of() {
        let mut chats = Chats::new();
        chats.says("anna", "team", 0);
        let (_running, _) = chats.queue.start().unwrap();
        chats.asks(Task::Say("a hint".to_owned()), "ben", "team", 0);
        chats.asks(Task::Send(Vec::new()), "carl", "team", 0);
        let turn = Box::new(Turn::of_words("?"));
        let resumed = Task::Resume { turn, parts: Vec::new(), said: 0, seq: 0 };
        chats.asks(resumed, "dora", "team", 0);
        chats.says("emil", "team", 0);
        chats.queue.take_out(&ConversationId::new("team"), |work| work.id == InboxId::of(5));
        assert_eq!(chats.told(100), []);
    }

    #[test]
    fn nobody_is_told_where_it_is_off_or_nobody_waits_for_the_agent() {
        let off: [(Option<Duration>, &dyn Agent); 4] = [
            (None, &Slow(Pace::OneAtATime)),
            (Some(AFTER), &Slow(Pace::Flowing)),
            (Some(AFTER), &Echo),
            (Some(AFTER), &Silent),
        ];
        for (after, agent) in off {
            assert_eq!(Notices::new(after, agent).after, None, "{agent:?}");
        }
    }

    #[test]
    fn whoever_waits_in_a_group_is_called() {
        let data = serde_json::json!({
            "conversationId": "c", "conversationType": "2", "senderStaffId": "u1",
        });
        let message = BotMessage::parse(&data.to_string()).unwrap();
        let say = Notice { message, before: Some(2) }.say();
        let Say::Message(RobotMessage::Mention { message, user_ids, everybody: false }) = say
        else {
            panic!("{say:?}");
        };
        assert_eq!(user_ids, ["u1"]);
        insta::assert_snapshot!(message.words(), @r"
        排队中：前面还有 2 条消息，轮到后会回复。
        Queued: 2 before yours; the answer comes when it is its turn.
        ");
        insta::assert_snapshot!(words(Some(0)), @r"
        排队中，轮到后会回复。
        Queued: the answer comes when it is its turn.
        ");
    }
}
