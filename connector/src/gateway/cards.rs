//! What all cards of a robot share: settings, pace, a refusal, and the end of those without a turn.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::card_pace::Pace;
use super::persist::persist;
use super::work::{Halt, keep_trying};
use crate::openapi::card::{CardFrame, CardStage};
use crate::openapi::{OpenApiClient, OpenApiError};
use crate::protocol::ConversationId;
use crate::store::{CardState, InboxId, KeptCard, NewCard, Store};
use crate::unix_time::now_ms;

/// How answers that an agent streams are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardConfig {
    /// Whether cards are used at all.
    pub mode: CardMode,
    /// `cardTemplateId`. Default: the public AI card of the official Python SDK.
    pub template_id: String,
    /// The template's variable that holds the words. Default `msgContent`.
    pub key: String,
    /// The shortest pause between two changes of a card. Default 500 ms, since an app of a free
    /// organisation has 20 calls a second for everything.
    pub interval: Duration,
}

/// Whether answers are shown on cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CardMode {
    /// Where an agent streams its answer, and may.
    Auto,
    /// Never: every answer is a message.
    Off,
}

/// The public AI card that the official Python SDK uses (`AIMarkdownCardInstance`).
pub const CARD_TEMPLATE: &str = "382e4302-551d-4880-bf29-a30acfab2e71.schema";
/// Its variable.
pub const CARD_KEY: &str = "msgContent";

impl Default for CardConfig {
    fn default() -> Self {
        Self {
            mode: CardMode::Auto,
            template_id: CARD_TEMPLATE.to_owned(),
            key: CARD_KEY.to_owned(),
            interval: Duration::from_millis(500),
        }
    }
}

/// After a refusal answers are messages for so long.
const REFUSED_FOR: Duration = Duration::from_secs(30 * 60);
/// So long before the end of a stop cards are made final, and the answers of their turns left to the
/// next start.
const CLOSING: Duration = Duration::from_secs(2);
/// Cards of which is known where they are, so that a press on them can be answered there.
pub(super) const KNOWN: usize = 2_000;

/// The cards of one robot.
#[derive(Debug)]
pub(super) struct Cards {
    pub(super) client: Arc<OpenApiClient>,
    pub(super) store: Arc<dyn Store>,
    pub(super) config: CardConfig,
    /// When a stop ends.
    stopping: watch::Receiver<Option<Instant>>,
    refusal: Mutex<Refusal>,
    pub(super) pace: Mutex<Pace>,
    /// Cards that wait for their last words, by the message that is answered.
    open: Mutex<HashMap<InboxId, KeptCard>>,
    known: Mutex<Known>,
    /// Calls that make cards final whose turn has left them.
    closing: Mutex<JoinSet<Result<(), Halt>>>,
}

/// Whether cards may be used.
#[derive(Debug, Default)]
struct Refusal {
    until: Option<Instant>,
}

impl Refusal {
    /// Returns whether that is news.
    fn refused(&mut self, now: Instant) -> bool {
        let news = !self.holds(now);
        self.until = Some(now + REFUSED_FOR);
        news
    }

    fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// Where the newest cards are.
#[derive(Debug, Default)]
struct Known {
    order: VecDeque<String>,
    place: HashMap<String, (ConversationId, bool)>,
}

impl Known {
    fn add(&mut self, card: &NewCard) {
        let place = (card.conversation_id.clone(), card.in_group);
        if self.place.insert(card.out_track_id.clone(), place).is_none() {
            self.order.push_back(card.out_track_id.clone());
        }
        if self.order.len() > KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.place.remove(&oldest);
        }
    }
}

/// What a card shows that gets no answer.
#[derive(Debug)]
pub(super) enum Ending {
    /// The answer comes as a message. The card may hold the answer already, and is not to.
    SeeBelow,
    /// These words, and that it goes on after the restart.
    Restarting(String),
    /// Nothing more was said than this.
    Silent(String),
    /// These words, and that `/stop` ended them.
    Stopped(String),
    /// Nobody knows what it showed, and nothing follows.
    Lost,
}

impl Ending {
    fn words(&self) -> (String, CardStage) {
        const SEE_BELOW: &str = "回答见下方消息\n\nThe answer is in the message below";
        const RESTARTING: &str =
            "正在重启，稍后重新回答\n\nRestarting; the answer follows afterwards";
        const STOPPED: &str = "已停止\n\nStopped";
        const LOST: &str = "回答中断了\n\nThe answer was interrupted";
        match self {
            Self::SeeBelow => (SEE_BELOW.to_owned(), CardStage::Failed),
            Self::Restarting(words) => (below(words, RESTARTING), CardStage::Finished),
            Self::Stopped(words) => (below(words, STOPPED), CardStage::Finished),
            Self::Silent(words) if !words.is_empty() => (words.clone(), CardStage::Finished),
            Self::Silent(_) | Self::Lost => (LOST.to_owned(), CardStage::Failed),
        }
    }
}

/// Words with a remark below them.
fn below(words: &str, remark: &str) -> String {
    let rule = if words.is_empty() { "" } else { "\n\n---\n\n" };
    format!("{words}{rule}{remark}")
}

/// A value that no panic can leave half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cards {
    /// None yet.
    pub(super) fn new(
        (client, store): (Arc<OpenApiClient>, Arc<dyn Store>),
        config: CardConfig,
        stopping: watch::Receiver<Option<Instant>>,
    ) -> Self {
        Self {
            client,
            store,
            stopping,
            refusal: Mutex::default(),
            pace: Mutex::new(Pace::new(config.interval)),
            config,
            open: Mutex::default(),
            known: Mutex::default(),
            closing: Mutex::default(),
        }
    }

    /// Begins with what is kept: an earlier process left it, unless several share it.
    pub(super) fn begin_with(&self, kept: Vec<KeptCard>, shared: bool) {
        if shared {
            // Which of them are to be ended here, the shares say.
            self.learn(&kept);
        } else {
            self.take_over(kept);
        }
    }

    /// Where cards are that any process of the robot made, so that a press on them can be answered here.
    pub(super) fn learn(&self, kept: &[KeptCard]) {
        let mut known = lock(&self.known);
        for card in kept {
            known.add(&card.card);
        }
    }

    /// Takes what a process left that is gone.
    pub(super) fn take_over(&self, kept: Vec<KeptCard>) {
        self.learn(&kept);
        for card in kept {
            match card.state {
                CardState::Closed => {}
                // Whatever its answer was, it came, or comes, as a message.
                CardState::Abandoned => self.close(card, Ending::SeeBelow),
                CardState::Open => {
                    info!(out_track_id = card.card.out_track_id, "a card is taken over");
                    // A message has one open card at most.
                    let other = lock(&self.open).insert(card.card.message, card);
                    if let Some(other) = other {
                        self.close(other, Ending::Lost);
                    }
                }
            }
        }
    }

    /// Those without a turn get no answer any more.
    pub(super) fn keep_only(&self, is_unfinished: impl Fn(InboxId) -> bool) {
        let lost: Vec<_> =
            lock(&self.open).extract_if(|message, _| !is_unfinished(*message)).collect();
        for (_, card) in lost {
            self.close(card, Ending::Lost);
        }
    }

    /// Another process works on a message, and on its card.
    pub(super) fn is_elsewhere(&self, message: InboxId) {
        lock(&self.open).remove(&message);
    }

    /// The turn of a message is over, and leaves no card behind that is not final.
    pub(super) fn turn_lost(&self, message: InboxId) {
        if let Some(card) = self.left_open(message) {
            self.close(card, Ending::Lost);
        }
    }

    /// How many wait for their last words.
    pub(super) fn count_open(&self) -> usize {
        lock(&self.open).len()
    }

    /// The turn of a message was stopped before it began to say more.
    pub(super) fn turn_stopped(&self, message: InboxId) {
        if let Some(card) = self.left_open(message) {
            self.close(card, Ending::Stopped(String::new()));
        }
    }

    /// The card that an earlier process left open for a message.
    pub(super) fn left_open(&self, message: InboxId) -> Option<KeptCard> {
        lock(&self.open).remove(&message)
    }

    /// A card waits for its last words. It is known here, too, so that it does not outlive a turn that
    /// fails.
    pub(super) fn opened(&self, card: &KeptCard) {
        lock(&self.known).add(&card.card);
        lock(&self.open).insert(card.card.message, card.clone());
    }

    /// A card has got its last words, which is recorded, or was never made.
    pub(super) fn done(&self, card: &KeptCard) {
        lock(&self.open).remove(&card.card.message);
        // If it is lost, the next start finds that its last words have arrived.
        drop(self.store.close_card(card.id));
    }

    /// Where a card is: its chat, and whether that is a group.
    pub(super) fn place(&self, out_track_id: &str) -> Option<(ConversationId, bool)> {
        lock(&self.known).place.get(out_track_id).cloned()
    }

    /// Whether a new card may be made now. While DingTalk refuses calls for being too many, answers are
    /// messages: they cost fewer.
    pub(super) fn may_open(&self, now: Instant) -> bool {
        self.config.mode == CardMode::Auto
            && self.stopping.borrow().is_none()
            && !lock(&self.refusal).holds(now)
            && !self.client.call_budget().strained
    }

    /// DingTalk does not let the app use cards.
    pub(super) fn refused(&self, e: &OpenApiError) {
        if lock(&self.refusal).refused(Instant::now()) {
            let fix = if e.is_quota_gone() {
                "--cards off saves calls"
            } else {
                "grant the app Card.Instance.Write and Card.Streaming.Write in the developer console, \
                 or give --cards off"
            };
            error!("cards are refused, and answers are messages for 30 min: {e}; {fix}");
        }
    }

    /// Ready when cards have to be made final, since the process is about to end.
    pub(super) async fn end_is_near(&self) {
        let mut stopping = self.stopping.clone();
        let end = stopping.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        match end.map(|end| end.checked_sub(CLOSING).unwrap_or(end)) {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Records that a card gets no answer, and makes it final, while others go on.
    pub(super) fn close(&self, card: KeptCard, ending: Ending) {
        lock(&self.open).remove(&card.card.message);
        let (client, store) = (Arc::clone(&self.client), Arc::clone(&self.store));
        let mut closing = lock(&self.closing);
        while closing.try_join_next().is_some() {}
        closing.spawn(async move {
            // First: a card that is final already would swallow the answer of the next process.
            keep_trying(|| store.abandon_card(card.id)).await?;
            make_final(&client, &card.card, &ending).await;
            keep_trying(|| store.close_card(card.id)).await
        });
    }

    /// Ready when all cards that were left are final.
    pub(super) async fn settled(&self) {
        let mut closing = std::mem::take(&mut *lock(&self.closing));
        while closing.join_next().await.is_some() {}
    }
}

/// Tries as long as an answer is tried. A card that cannot be made final is left as it is.
async fn make_final(client: &OpenApiClient, card: &NewCard, ending: &Ending) {
    let (content, stage) = ending.words();
    let guid = Uuid::new_v4().to_string();
    let frame = CardFrame { guid: &guid, key: &card.key, content: &content, stage };
    let stream = || client.stream_card(&card.out_track_id, &frame);
    match persist(now_ms(), stream, |_| ()).await {
        Err(e) if e.is_card_missing() => return,
        Err(e) => warn!(out_track_id = card.out_track_id, "a card is to be made final: {e}"),
        // Its last words may have arrived although it looked otherwise, and streaming changes no card
        // that is final.
        Ok(()) if matches!(ending, Ending::SeeBelow) => {}
        Ok(()) => return,
    }
    let update = || client.update_card(&card.out_track_id, &card.key, &content, stage);
    if let Err(e) = persist(now_ms(), update, |_| ()).await {
        error!(out_track_id = card.out_track_id, "a card cannot be made final: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_holds_for_half_an_hour_and_is_news_once() {
        let mut refusal = Refusal::default();
        let start = Instant::now();
        assert!(!refusal.holds(start));
        assert!(refusal.refused(start));
        assert!(!refusal.refused(start + Duration::from_secs(1)), "a card that was under way");
        assert!(refusal.holds(start + REFUSED_FOR));
        let later = start + REFUSED_FOR + Duration::from_secs(1);
        assert!(!refusal.holds(later));
        assert!(refusal.refused(later));
    }
}
