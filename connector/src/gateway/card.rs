//! One turn's card: it shows what the agent is about to say, and ends as what was said.
//!
//! A card is begun when an agent shows the words of its next thing to say and goes on for longer than a
//! moment; what it then says, as it is kept in the outbox, becomes the card's last words. What a card
//! cannot take goes as a message, and the card says so.

use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tracing::{debug, warn};
use uuid::Uuid;

use super::card_pace::{Frame, Frames};
use super::cards::{Cards, Ending, lock};
use super::deliver::Part;
use super::persist::persist;
use super::reply::{Question, Replier};
use super::work::{Halt, keep_trying};
use crate::agent::Say;
use crate::openapi::OpenApiError;
use crate::openapi::card::{CardFrame, CardSpace, CardStage, CreateCard};
use crate::protocol::{ConversationType, ProcessQueryKey, RobotMessage};
use crate::store::{InboxId, KeptCard, NewCard, SentMessage};
use crate::unix_time::now_ms;

/// What a card is told of its turn, beside the parts of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing that is not said.
    Nothing,
    /// The words of the next thing to be said, so far.
    Words(String),
    /// It was stopped, and the next thing is not said. It would have begun like this.
    Stopped(String),
}

/// Where a card is told.
pub(super) type Words = watch::Receiver<Shown>;

/// An answer that is said so soon after its first words is a message: a card would only flicker, and
/// cost three calls for one.
const MOMENT: Duration = Duration::from_millis(300);
/// Words of a card, in bytes. The page recommends 3 KB, which bots in use exceed without harm; longer
/// answers are messages, as soon as one message of the robot API could not carry them either.
const MAX_WORDS: usize = 15_000;
/// Calls that may fail in a row until an answer goes on without its card.
const FAILURES: u32 = 4;

/// The card of a turn.
pub(super) struct Card<'a> {
    cards: &'a Cards,
    replier: &'a Replier,
    question: &'a Question<'a>,
    message: InboxId,
    state: State,
}

enum State {
    /// Nothing is shown.
    None,
    /// Words wait for their moment.
    Waiting(Frames),
    /// There is a card.
    Open(Open),
    /// This turn has no card any more.
    Never,
}

struct Open {
    kept: KeptCard,
    /// It is known to be there.
    shown: bool,
    /// It may be there: a call that makes it may have arrived.
    may_exist: bool,
    /// What quotes of it name it by; known to the process that made it.
    carrier_id: Option<ProcessQueryKey>,
    failures: u32,
    frames: Frames,
}

/// What becomes of a card after a call failed.
enum Verdict {
    /// It goes on, after this pause.
    GoOn(Duration),
    GiveUp,
}

impl<'a> Card<'a> {
    /// The card that an earlier process left for this message, or none yet.
    pub(super) fn new(
        (cards, replier): (&'a Cards, &'a Replier),
        question: &'a Question<'a>,
        message: InboxId,
    ) -> Self {
        let state = match cards.left_open(message) {
            None => State::None,
            Some(kept) => {
                cards.opened(&kept);
                // Most likely; if not, the first call says so.
                let frames = Frames::new(Instant::now());
                let (carrier_id, failures) = (None, 0);
                State::Open(Open {
                    kept,
                    shown: true,
                    may_exist: true,
                    carrier_id,
                    failures,
                    frames,
                })
            }
        };
        Self { cards, replier, question, message, state }
    }

    /// Shows words until something happens. A call that is under way is not broken off: it might arrive
    /// after what comes next.
    pub(super) async fn show_until<T>(
        &mut self,
        words: &mut Words,
        event: impl Future<Output = T>,
    ) -> Result<T, Halt> {
        let happened = Notify::new();
        let event = async {
            let event = event.await;
            happened.notify_one();
            event
        };
        // In this order: what is said comes before newer words.
        let (event, shown) = futures_util::future::join(event, self.show(words, &happened)).await;
        shown.map(|()| event)
    }

    async fn show(&mut self, words: &mut Words, happened: &Notify) -> Result<(), Halt> {
        let cards = self.cards;
        let mut more = true;
        loop {
            let due = match &self.state {
                State::Waiting(frames) | State::Open(Open { frames, .. }) => frames.due(),
                State::None | State::Never => None,
            };
            let has_card = matches!(self.state, State::Open(_));
            tokio::select! {
                biased;
                () = happened.notified() => return Ok(()),
                () = cards.end_is_near(), if has_card => self.end_soon(),
                changed = words.changed(), if more => {
                    more = changed.is_ok();
                    if let Shown::Words(newest) = &*words.borrow_and_update() {
                        self.offer(newest);
                    }
                }
                () = until(due), if due.is_some() => self.step().await?,
            }
        }
    }

    /// Takes words that are to be shown.
    fn offer(&mut self, words: &str) {
        if words.trim().is_empty() || words.len() > MAX_WORDS {
            return;
        }
        match &mut self.state {
            State::Waiting(frames) | State::Open(Open { frames, .. }) => {
                frames.offer(words.to_owned());
            }
            State::None => {
                let now = Instant::now();
                if self.cards.may_open(now) && self.space().is_some() {
                    let mut frames = Frames::new(now + MOMENT);
                    frames.offer(words.to_owned());
                    self.state = State::Waiting(frames);
                }
            }
            State::Never => {}
        }
    }

    /// Does what is due: a card is begun, made, or changed.
    async fn step(&mut self) -> Result<(), Halt> {
        self.state = match std::mem::replace(&mut self.state, State::Never) {
            // What held a moment ago may not hold any more.
            State::Waiting(_) if !self.cards.may_open(Instant::now()) => State::None,
            State::Waiting(frames) => {
                let kept = self.begin().await?;
                let (carrier_id, failures) = (None, 0);
                State::Open(Open {
                    kept,
                    shown: false,
                    may_exist: false,
                    carrier_id,
                    failures,
                    frames,
                })
            }
            state => state,
        };
        let State::Open(open) = &mut self.state else { return Ok(()) };
        let now = Instant::now();
        let interval = lock(&self.cards.pace).interval();
        let Some(frame) = open.frames.take(now, interval) else { return Ok(()) };
        let card = &open.kept.card;
        let mut outcome = Ok(());
        if !open.shown {
            let robot_code = self.replier.robot_code(self.question.message);
            if let Some(space) = space(self.question) {
                let create = CreateCard {
                    template_id: &self.cards.config.template_id,
                    out_track_id: &card.out_track_id,
                    key: &card.key,
                    robot_code: &robot_code,
                    space,
                };
                let made = self.cards.client.create_and_deliver_card(&create).await;
                outcome = made.map(|carrier_id| open.carrier_id = carrier_id);
            }
            outcome = match outcome {
                Err(e) if e.is_card_there() => Ok(()),
                outcome => outcome,
            };
            open.shown = outcome.is_ok();
            open.may_exist |= outcome.as_ref().map_or_else(OpenApiError::is_ambiguous, |()| true);
        }
        if outcome.is_ok() {
            let Frame { content, guid } = &frame;
            let stage = CardStage::Inputing;
            let frame = CardFrame { guid, key: &card.key, content, stage };
            outcome = self.cards.client.stream_card(&card.out_track_id, &frame).await;
        }
        match outcome {
            Ok(()) => {
                lock(&self.cards.pace).taken();
                open.failures = 0;
                open.frames.taken(frame);
            }
            Err(e) => match judge(self.cards, open, &e) {
                Verdict::GoOn(pause) => open.frames.put_back(frame, Instant::now() + pause),
                Verdict::GiveUp => {
                    warn!("an answer goes on without its card: {e}");
                    self.leave(Ending::SeeBelow);
                }
            },
        }
        Ok(())
    }

    /// Keeps a card that is about to be made.
    async fn begin(&self) -> Result<KeptCard, Halt> {
        let message = self.question.message;
        let card = NewCard {
            client_id: self.cards.client.credential().client_id.clone(),
            message: self.message,
            out_track_id: Uuid::new_v4().to_string(),
            key: self.cards.config.key.clone(),
            conversation_id: message.conversation_id.clone(),
            in_group: message.conversation_type == ConversationType::Group,
        };
        let id = keep_trying(|| self.cards.store.open_card(card.clone())).await?;
        let kept = KeptCard { id, card, state: crate::store::CardState::Open };
        self.cards.opened(&kept);
        Ok(kept)
    }

    /// Makes a part of the answer, which is kept, the card's last words. Returns whether it arrived so;
    /// if not it is to be sent as a message, and the card will not hold it.
    pub(super) async fn take(&mut self, part: &Part) -> Result<bool, Halt> {
        let words = match &part.say {
            Say::Message(
                RobotMessage::Text(words) | RobotMessage::Markdown { text: words, .. },
            ) => words.as_str(),
            // Words that it shows the beginning of, perhaps, and cannot hold.
            Say::Message(RobotMessage::Mention { .. } | RobotMessage::ActionCard { .. }) => "",
            _ => return Ok(false),
        };
        let open = match std::mem::replace(&mut self.state, State::None) {
            State::Open(open) => open,
            State::Never => {
                self.state = State::Never;
                return Ok(false);
            }
            State::None | State::Waiting(_) => return Ok(false),
        };
        let (id, card) = (open.kept.id, &open.kept.card);
        if open.may_exist && words.len() <= MAX_WORDS && !words.trim().is_empty() {
            keep_trying(|| self.cards.store.answer_in_card(id, part.id)).await?;
            let stage = CardStage::Finished;
            // A card is finished once: after a crash the same call is made again.
            let guid = &card.out_track_id;
            let frame = CardFrame { guid, key: &card.key, content: words, stage };
            let finish = || self.cards.client.stream_card(&card.out_track_id, &frame);
            match persist(self.question.received_at, finish, |_| ()).await {
                Ok(()) => {
                    if let Some(key) = open.carrier_id.clone() {
                        self.remember(key, words);
                    }
                    self.state = State::Open(open);
                    return Ok(true);
                }
                Err(e) => {
                    warn!("an answer goes as a message, since its card cannot be finished: {e}");
                    judge_refusal(self.cards, &e);
                }
            }
        }
        if !open.may_exist {
            self.cards.done(&open.kept);
            return Ok(false);
        }
        // On record before the message goes out: else a crash could let it stand in both.
        keep_trying(|| self.cards.store.abandon_card(id)).await?;
        self.cards.close(open.kept, Ending::SeeBelow);
        Ok(false)
    }

    /// Keeps what the card says, for quotes of it bring no words.
    fn remember(&self, process_query_key: ProcessQueryKey, words: &str) {
        let sent = SentMessage {
            client_id: self.replier.client_id().clone(),
            process_query_key,
            conversation_id: self.question.message.conversation_id.clone(),
            in_group: self.question.message.is_in_group(),
            text: words.to_owned(),
            sent_at: now_ms(),
        };
        // It goes to disk with what follows; without it a quote has no words.
        drop(self.cards.store.remember_sent(sent));
    }

    /// The part that the card [took](Self::take) is recorded as sent.
    pub(super) fn answered(&mut self) {
        if let State::Open(open) = std::mem::replace(&mut self.state, State::None) {
            self.cards.done(&open.kept);
        }
    }

    /// The turn has ended. Words that nothing was said after stay as they are.
    pub(super) fn end(&mut self, words: &Words) {
        let State::Open(open) = &mut self.state else { return };
        let shown = words.borrow();
        if let Shown::Words(newest) | Shown::Stopped(newest) = &*shown
            && !newest.trim().is_empty()
            && newest.len() <= MAX_WORDS
        {
            open.frames.offer(newest.clone());
        }
        let latest = open.frames.latest().to_owned();
        let stopped = matches!(*shown, Shown::Stopped(_));
        drop(shown);
        self.leave(if stopped { Ending::Stopped(latest) } else { Ending::Silent(latest) });
    }

    /// The process will end before the turn. A finished card cannot go on, so that the turn gets another
    /// one when it comes again.
    fn end_soon(&mut self) {
        if let State::Open(open) = &self.state {
            let words = open.frames.latest().to_owned();
            self.leave(Ending::Restarting(words));
        }
    }

    fn leave(&mut self, ending: Ending) {
        if let State::Open(open) = std::mem::replace(&mut self.state, State::Never) {
            debug!(out_track_id = open.kept.card.out_track_id, ?ending, "a card is left");
            if open.may_exist {
                self.cards.close(open.kept, ending);
            } else {
                self.cards.done(&open.kept);
            }
        }
    }

    fn space(&self) -> Option<CardSpace<'_>> {
        space(self.question)
    }
}

/// Where a card can be shown; nowhere for people from outside.
fn space<'a>(question: &'a Question<'_>) -> Option<CardSpace<'a>> {
    let message = question.message;
    match message.conversation_type {
        ConversationType::Group => Some(CardSpace::Group(&message.conversation_id)),
        ConversationType::Direct => message.sender_staff_id.as_ref().map(CardSpace::Robot),
        ConversationType::Unknown(_) => None,
    }
}

/// Slows all cards down, tries again, or gives up.
fn judge(cards: &Cards, open: &mut Open, e: &OpenApiError) -> Verdict {
    if judge_refusal(cards, e) {
        return Verdict::GiveUp;
    }
    if e.is_too_fast() {
        // A change less is no loss, and the last words are tried for long.
        return Verdict::GoOn(lock(&cards.pace).refused(e.retry_after()));
    }
    if matches!(e, OpenApiError::NotSpared { .. }) {
        // Newer words may find room.
        return Verdict::GoOn(lock(&cards.pace).interval());
    }
    open.failures += 1;
    let again = open.failures < FAILURES;
    if e.is_card_missing() && open.shown && again {
        // An earlier process came no further than to record it.
        open.shown = false;
        return Verdict::GoOn(Duration::ZERO);
    }
    if e.is_retryable() && again {
        return Verdict::GoOn(lock(&cards.pace).interval());
    }
    Verdict::GiveUp
}

/// Whether the app may not use cards.
fn judge_refusal(cards: &Cards, e: &OpenApiError) -> bool {
    let refused = e.is_permission_denied();
    if refused {
        cards.refused(e);
    }
    refused
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
