//! A store that fails: what it did not keep is not acked, comes again, and is answered once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dingtalk_connector::agent::{Agent, Echo, Say, SessionSettings};
use dingtalk_connector::credential::ClientId;
use dingtalk_connector::gateway::access::{AccessPolicy, DmPolicy};
use dingtalk_connector::gateway::{DRAIN, Gateway, GatewayConfig};
use dingtalk_connector::protocol::{ConversationId, ProcessQueryKey};
use dingtalk_connector::store::calls::CallStore;
use dingtalk_connector::store::heard::HeardStore;
use dingtalk_connector::store::inbox::{Change, InboxStore, Step};
use dingtalk_connector::store::pairing::{
    Asked, PairedPerson, PairingRequest, PairingStore, Waiting,
};
use dingtalk_connector::store::peers::{Peer, PeerStore};
use dingtalk_connector::store::pushes::{KeptPush, NewPush, PushStore};
use dingtalk_connector::store::schedules::{
    Claim, NewSchedule, Run, RunId, RunState, Schedule, ScheduleId, ScheduleStore, Unended,
};
use dingtalk_connector::store::sessions::{
    Exchange, HistoryLimits, Session, SessionKey, SessionStore, Tokens,
};
use dingtalk_connector::store::sqlite::{FILE, SqliteStore};
use dingtalk_connector::store::{
    CardId, CardStore, InboxId, KeptCard, NewCard, NewMessage, OutboxId, Pending, Recovered,
    ReplicaStore, Said, SentMessage, Store, StoreError, TakenIn, Unfinished,
};
use mock_dingtalk::{
    Action, AppOptions, DeliveryRow, DeliveryRules, Fault, FrameSelector, Profile, Times, When,
};
use tokio::sync::{mpsc, watch};

use crate::played::{self, Played};
use crate::support::{World, eventually, fixed};

/// How the next messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Not yet, and then as it is then.
    Slow,
    Full,
    /// Messages are kept, and no room is left for what becomes of them.
    Crowded,
    /// As if its thread had died.
    Dead,
}

#[derive(Debug)]
struct Moody {
    inner: SqliteStore,
    mood: watch::Sender<Mood>,
    /// Repeats that wait for what they repeat.
    barriers: AtomicUsize,
    /// Messages that were asked to be kept, and not at once.
    moods: AtomicUsize,
    /// What was not kept of messages that were.
    refusals: AtomicUsize,
}

impl Moody {
    fn refusal<T>(&self) -> Option<Pending<T>> {
        let crowded = *self.mood.borrow() == Mood::Crowded;
        crowded.then(|| {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Err(StoreError::Full) }) as Pending<T>
        })
    }

    async fn wait_refusals(&self, count: usize) {
        let refused = || (self.refusals.load(Ordering::Relaxed) >= count).then_some(());
        eventually(|| format!("{count} refusals"), refused).await;
    }
}

impl Store for Moody {
    fn replicas(self: Arc<Self>) -> Option<Arc<dyn ReplicaStore>> {
        None
    }

    fn recover(&self, client_id: &ClientId, since: i64, at_most: usize) -> Pending<Recovered> {
        self.inner.recover(client_id, since, at_most)
    }

    fn take_in(&self, message: NewMessage) -> Pending<TakenIn> {
        let mut mood = self.mood.subscribe();
        if matches!(*mood.borrow(), Mood::Well | Mood::Crowded) {
            return self.inner.take_in(message);
        }
        self.moods.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let mood = *mood.wait_for(|mood| *mood != Mood::Slow).await.unwrap();
            Err(if mood == Mood::Dead { StoreError::Closed } else { StoreError::Full })
        })
    }

    fn keep_cut_off(&self, message: InboxId, times: u32) -> Pending<()> {
        self.inner.keep_cut_off(message, times)
    }

    fn end_in_order(&self, client_id: &ClientId) -> Pending<()> {
        self.inner.end_in_order(client_id)
    }

    fn barrier(&self) -> Pending<()> {
        self.barriers.fetch_add(1, Ordering::Relaxed);
        self.inner.barrier()
    }

    fn close(&self) {
        self.inner.close();
    }

    fn probe(&self) -> Pending<()> {
        match self.refusal() {
            Some(refusal) => refusal,
            None => self.inner.probe(),
        }
    }

    fn said(&self, message: InboxId, said: Said) -> Pending<Vec<OutboxId>> {
        match self.refusal() {
            Some(refusal) => refusal,
            None => self.inner.said(message, said),
        }
    }

    fn begin(&self, part: OutboxId) -> Pending<()> {
        self.inner.begin(part)
    }

    fn sent(&self, part: OutboxId, next: Option<OutboxId>) -> Pending<()> {
        match self.refusal() {
            Some(refusal) => refusal,
            None => self.inner.sent(part, next),
        }
    }

    fn failed(&self, message: InboxId, reason: String) -> Pending<()> {
        match self.refusal() {
            Some(refusal) => refusal,
            None => self.inner.failed(message, reason),
        }
    }

    fn remember_sent(&self, message: SentMessage) -> Pending<()> {
        self.inner.remember_sent(message)
    }

    fn sent_message(
        &self,
        client_id: &ClientId,
        key: &ProcessQueryKey,
    ) -> Pending<Option<SentMessage>> {
        self.inner.sent_message(client_id, key)
    }
}

impl InboxStore for Moody {
    fn note(&self, step: Step) {
        self.inner.note(step);
    }

    fn retry(&self, app: Option<&ClientId>, id: InboxId) -> Pending<Change<Box<Unfinished>>> {
        self.inner.retry(app, id)
    }

    fn end(&self, app: Option<&ClientId>, id: InboxId, reason: String) -> Pending<Change<()>> {
        self.inner.end(app, id, reason)
    }
}

impl ScheduleStore for Moody {
    fn add_schedule(&self, schedule: NewSchedule) -> Pending<ScheduleId> {
        self.inner.add_schedule(schedule)
    }

    fn schedules(&self, app: &ClientId) -> Pending<Vec<Schedule>> {
        self.inner.schedules(app)
    }

    fn remove_schedule(&self, app: &ClientId, id: ScheduleId) -> Pending<bool> {
        self.inner.remove_schedule(app, id)
    }

    fn switch_schedule(
        &self,
        app: &ClientId,
        id: ScheduleId,
        enabled: bool,
        next: Option<i64>,
    ) -> Pending<bool> {
        self.inner.switch_schedule(app, id, enabled, next)
    }

    fn claim_runs(&self, claim: Claim) -> Pending<Option<Vec<RunId>>> {
        self.inner.claim_runs(claim)
    }

    fn begin_run(&self, app: &ClientId, id: ScheduleId, now: i64) -> Pending<Option<RunId>> {
        self.inner.begin_run(app, id, now)
    }

    fn run_says(&self, run: RunId, says: Vec<Say>) -> Pending<()> {
        self.inner.run_says(run, says)
    }

    fn end_run(
        &self,
        run: RunId,
        state: RunState,
        detail: Option<String>,
        now: i64,
    ) -> Pending<()> {
        self.inner.end_run(run, state, detail, now)
    }

    fn unended_runs(&self, app: &ClientId) -> Pending<Vec<Unended>> {
        self.inner.unended_runs(app)
    }

    fn runs(&self, app: &ClientId, id: ScheduleId, at_most: usize) -> Pending<Vec<Run>> {
        self.inner.runs(app, id, at_most)
    }
}

impl SessionStore for Moody {
    fn session(&self, key: &SessionKey) -> Pending<Session> {
        self.inner.session(key)
    }

    fn exchanged(
        &self,
        key: &SessionKey,
        exchange: Exchange,
        tokens: Tokens,
        limits: HistoryLimits,
    ) -> Pending<()> {
        self.inner.exchanged(key, exchange, tokens, limits)
    }

    fn used(&self, key: &SessionKey, tokens: Tokens) -> Pending<()> {
        self.inner.used(key, tokens)
    }

    fn summarised(&self, key: &SessionKey, up_to: i64, summary: String) -> Pending<()> {
        self.inner.summarised(key, up_to, summary)
    }

    fn forget(&self, key: &SessionKey) -> Pending<()> {
        self.inner.forget(key)
    }

    fn set(&self, key: &SessionKey, settings: SessionSettings) -> Pending<()> {
        self.inner.set(key, settings)
    }
}

impl CardStore for Moody {
    fn open_card(&self, card: NewCard) -> Pending<CardId> {
        self.inner.open_card(card)
    }

    fn answer_in_card(&self, card: CardId, part: OutboxId) -> Pending<()> {
        self.inner.answer_in_card(card, part)
    }

    fn abandon_card(&self, card: CardId) -> Pending<()> {
        self.inner.abandon_card(card)
    }

    fn close_card(&self, card: CardId) -> Pending<()> {
        self.inner.close_card(card)
    }

    fn cards(&self, client_id: &ClientId, at_most: usize) -> Pending<Vec<KeptCard>> {
        self.inner.cards(client_id, at_most)
    }
}

impl PairingStore for Moody {
    fn paired(&self, client_id: &ClientId) -> Pending<Vec<PairedPerson>> {
        self.inner.paired(client_id)
    }

    fn take_telling(&self, client_id: &ClientId, sender: String) -> Pending<bool> {
        self.inner.take_telling(client_id, sender)
    }

    fn revoke_pairing(
        &self,
        sender: String,
        client_id: Option<ClientId>,
    ) -> Pending<Vec<PairedPerson>> {
        self.inner.revoke_pairing(sender, client_id)
    }

    fn ask_pairing(&self, request: PairingRequest, now: i64) -> Pending<Asked> {
        self.inner.ask_pairing(request, now)
    }

    fn decide_pairing(&self, code: String, approved: bool, now: i64) -> Pending<Option<Waiting>> {
        self.inner.decide_pairing(code, approved, now)
    }
}

impl PeerStore for Moody {
    fn met(&self, peer: Peer) -> Pending<()> {
        self.inner.met(peer)
    }

    fn peers_like(&self, client_id: &ClientId, is_group: bool, id: &str) -> Pending<Vec<String>> {
        self.inner.peers_like(client_id, is_group, id)
    }
}

impl HeardStore for Moody {
    fn heard_until(&self, client_id: &ClientId) -> Pending<Option<i64>> {
        self.inner.heard_until(client_id)
    }

    fn keep_heard(&self, client_id: &ClientId, until: i64) -> Pending<()> {
        self.inner.keep_heard(client_id, until)
    }
}

impl CallStore for Moody {
    fn calls(&self, client_id: &ClientId, month: i64) -> Pending<u64> {
        self.inner.calls(client_id, month)
    }

    fn keep_calls(&self, client_id: &ClientId, month: i64, calls: u64) -> Pending<()> {
        self.inner.keep_calls(client_id, month, calls)
    }
}

impl PushStore for Moody {
    fn begin_push(&self, push: NewPush) -> Pending<Option<KeptPush>> {
        self.inner.begin_push(push)
    }

    fn end_push(&self, client_id: &ClientId, key: &str, outcomes: String) -> Pending<()> {
        self.inner.end_push(client_id, key, outcomes)
    }
}

async fn start(dm_policy: DmPolicy) -> (World, Arc<Moody>, Gateway) {
    start_with(dm_policy, Arc::new(Echo)).await
}

async fn start_with(dm_policy: DmPolicy, agent: Arc<dyn Agent>) -> (World, Arc<Moody>, Gateway) {
    let rules = DeliveryRules { profile: Profile::Observed60s, ..DeliveryRules::default() };
    let world = World::with(AppOptions::default().delivery(rules)).await;
    let inner = SqliteStore::open(&world.dir.path().join(FILE)).unwrap();
    let (mood, barriers) = (watch::Sender::new(Mood::Well), AtomicUsize::new(0));
    let store = Arc::new(Moody {
        inner,
        mood,
        barriers,
        moods: AtomicUsize::new(0),
        refusals: AtomicUsize::new(0),
    });
    let access = AccessPolicy { dm: dm_policy, ..AccessPolicy::open() };
    let settings = GatewayConfig { access: fixed(access), ..world.gateway_config(agent) };
    let gateway = Gateway::start(settings, Arc::clone(&store) as Arc<dyn Store>).await.unwrap();
    world.app.wait_connections(1).await.unwrap();
    (world, store, gateway)
}

fn delivery(world: &World, msg_id: &str) -> DeliveryRow {
    let rows = world.app.deliveries().unwrap();
    rows.into_iter().find(|row| row.msg_id.as_deref() == Some(msg_id)).unwrap()
}

#[tokio::test]
async fn a_message_that_was_not_kept_is_not_acked_nor_is_a_repeat_that_came_meanwhile() {
    let (world, store, gateway) = start(DmPolicy::Open).await;
    let app = &world.app;
    store.mood.send_replace(Mood::Slow);
    let twice = Fault {
        when: When::Frame(FrameSelector::messages()),
        times: Times::First(1),
        action: Action::Duplicate(1),
    };
    app.fault(twice).unwrap();
    let said = app.say("user0001", "keep me").await.unwrap();
    // The copy is judged while the original is still on its way to the disk, which is full.
    let judged = || (store.barriers.load(Ordering::Relaxed) == 1).then_some(());
    eventually(|| "the copy".to_owned(), judged).await;
    store.mood.send_replace(Mood::Full);
    // Acks go out in order: that of a later message shows that there is none for these.
    store.mood.send_replace(Mood::Well);
    app.say("user0002", "later").await.unwrap();
    app.wait_sent(1).await.unwrap();
    app.wait_acked(1).await.unwrap();
    assert_eq!(delivery(&world, &said.msg_id).ack, None);
    // It comes again, and is new.
    world.mock.clock().advance(Duration::from_secs(61));
    let sent = app.wait_sent(2).await.unwrap();
    let texts: Vec<_> = sent.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(texts, ["later", "keep me"]);
    app.wait_acked(2).await.unwrap();
    app.say("user0001", "last").await.unwrap();
    assert_eq!(app.wait_sent(3).await.unwrap()[2].text, "last");
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_hint_that_could_not_be_kept_is_given_when_its_message_comes_again() {
    let (world, store, gateway) = start(DmPolicy::Pairing).await;
    store.mood.send_replace(Mood::Full);
    world.app.say("user0001", "hello?").await.unwrap();
    let asked = || (store.moods.load(Ordering::Relaxed) == 1).then_some(());
    eventually(|| "the message".to_owned(), asked).await;
    store.mood.send_replace(Mood::Well);
    world.mock.clock().advance(Duration::from_secs(61));
    let sent = world.app.wait_sent(1).await.unwrap();
    assert!(sent[0].text.contains("user0001"), "{sent:?}");
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_store_that_is_gone_ends_the_robot() {
    let (world, store, mut gateway) = start(DmPolicy::Open).await;
    store.mood.send_replace(Mood::Dead);
    world.app.say("user0001", "anybody?").await.unwrap();
    let failure = gateway.failed().await;
    assert!(failure.contains("the store ended"), "{failure}");
}

#[tokio::test]
async fn an_answer_waits_for_a_disk_that_is_full_and_comes_once() {
    let (agent, mut asked) = Played::new();
    let (world, store, gateway) = start_with(DmPolicy::Open, agent).await;
    world.app.say("user0001", "a question").await.unwrap();
    let turn = asked.recv().await.unwrap();
    store.mood.send_replace(Mood::Crowded);
    turn.speaker.say(Say::text("one")).await;
    store.wait_refusals(1).await;
    assert_eq!(world.app.sent().unwrap().len(), 0, "nothing is sent that is not kept");
    // It has room for the answer, and none for its arrival.
    store.mood.send_replace(Mood::Well);
    world.app.wait_sent(1).await.unwrap();
    store.mood.send_replace(Mood::Crowded);
    turn.speaker.say(Say::text("two")).await;
    drop(turn);
    store.wait_refusals(2).await;
    store.mood.send_replace(Mood::Well);
    let sent = world.app.wait_sent(2).await.unwrap();
    let texts: Vec<_> = sent.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(gateway.stop().await, 0);
    assert_eq!(world.app.sent().unwrap().len(), 2);
}

#[tokio::test]
async fn what_was_stopped_while_the_disk_was_full_is_not_answered_after_a_restart() {
    let (agent, mut asked) = Played::new();
    let (world, store, gateway) = start_with(DmPolicy::Open, agent).await;
    world.app.say("user0001", "running").await.unwrap();
    let _turn = asked.recv().await.unwrap();
    world.app.say("user0001", "waiting").await.unwrap();
    world.app.wait_acked(2).await.unwrap();
    store.mood.send_replace(Mood::Crowded);
    world.app.say("user0001", "/stop").await.unwrap();
    // That of the message that waits, and that of the turn.
    store.wait_refusals(2).await;
    store.mood.send_replace(Mood::Well);
    let sent = world.app.wait_sent(1).await.unwrap();
    assert!(sent[0].text.contains("Stopped (2 messages)"), "{sent:?}");
    assert_eq!(gateway.stop().await, 0);
    let client_id = ClientId::new(world.app.client_id());
    let left = store.recover(&client_id, 0, 9).await.unwrap().unfinished;
    assert_eq!(left, [], "nothing is left for the next start");
}

#[tokio::test]
async fn a_stop_of_the_program_does_not_wait_for_a_full_disk() {
    let (agent, mut asked) = Played::new();
    let (world, store, gateway) = start_with(DmPolicy::Open, Arc::clone(&agent) as _).await;
    world.app.say("user0001", "a question").await.unwrap();
    let turn = asked.recv().await.unwrap();
    store.mood.send_replace(Mood::Crowded);
    turn.speaker.say(Say::text("one")).await;
    store.wait_refusals(1).await;
    let begun = Instant::now();
    assert_eq!(gateway.stop().await, 1, "it is left to the next start");
    assert!(begun.elapsed() < DRAIN + Duration::from_secs(1));
    assert!(world.app.sent().unwrap().is_empty(), "nothing is sent that is not kept");
    store.mood.send_replace(Mood::Well);
    let config = world.gateway_config(agent);
    let gateway = Gateway::start(config, Arc::clone(&store) as _).await.unwrap();
    let again = asked.recv().await.unwrap();
    assert_eq!((again.attempt.turn, again.attempt.resumed), (turn.attempt.turn, true));
    assert_eq!(again.attempt.said, 0);
    again.speaker.say(Say::text("one")).await;
    drop(again);
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "one");
    assert_eq!(gateway.stop().await, 0);
}

/// The next `count` turns that an agent is asked for, with their words.
async fn texts(
    asked: &mut mpsc::UnboundedReceiver<played::Asked>,
    count: usize,
) -> (Vec<String>, Vec<played::Asked>) {
    let mut turns = Vec::new();
    while turns.len() < count {
        turns.push(asked.recv().await.expect("a turn"));
    }
    let mut words: Vec<_> = turns.iter().map(|asked| asked.turn.text.clone()).collect();
    words.sort();
    (words, turns)
}

#[tokio::test]
async fn a_message_that_ends_process_after_process_is_parked_and_the_others_are_answered() {
    let (agent, mut asked) = Played::new();
    let (world, store, mut robot) = start_with(DmPolicy::Open, Arc::clone(&agent) as _).await;
    let start = async || {
        let config = world.gateway_config(Arc::clone(&agent) as _);
        Gateway::start(config, Arc::clone(&store) as _).await.unwrap()
    };
    world.app.say("user0001", "poison").await.unwrap();
    world.app.say("user0002", "innocent").await.unwrap();
    world.app.wait_acked(2).await.unwrap();
    // Both are under way each time, and nobody can know which of them it was.
    let mut held = Vec::new();
    for _ in 0..2 {
        let (told, turns) = texts(&mut asked, 2).await;
        assert_eq!(told, ["innocent", "poison"]);
        // Turns that are dropped have ended, which these never do.
        held.extend(turns);
        robot.abort();
        robot = start().await;
    }
    // Now one after the other: what is never reached cannot have done it.
    for _ in 0..8 {
        let (told, turns) = texts(&mut asked, 1).await;
        assert_eq!(told, ["poison"]);
        held.extend(turns);
        assert!(asked.try_recv().is_err());
        robot.abort();
        robot = start().await;
    }
    let (told, turns) = texts(&mut asked, 1).await;
    assert_eq!(told, ["innocent"]);
    turns[0].speaker.say(Say::text("an answer")).await;
    drop(turns);
    assert_eq!(world.app.wait_sent(1).await.unwrap()[0].text, "an answer");
    assert_eq!(robot.stop().await, 0);
    let client_id = ClientId::new(world.app.client_id());
    assert!(store.recover(&client_id, 0, 9).await.unwrap().unfinished.is_empty());
    let db = rusqlite::Connection::open(world.dir.path().join(FILE)).unwrap();
    let query = "SELECT failure FROM inbox WHERE failure IS NOT NULL";
    let reason: String = db.query_row(query, (), |row| row.get(0)).unwrap();
    assert_eq!(reason, "parked: the process ended 10 times while this message was answered");
}

#[tokio::test]
async fn a_suspect_does_not_wait_for_turns_that_may_take_long() {
    let (agent, mut asked) = Played::new();
    let world = World::new().await;
    let store = world.store();
    let mut ids = Vec::new();
    for (n, text) in ["ordinary", "suspect", "other"].into_iter().enumerate() {
        let data = serde_json::json!({
            "conversationId": format!("cid{n}"), "conversationType": "1", "msgId": format!("m{n}"),
            "senderStaffId": "user0001", "msgtype": "text", "text": { "content": text },
        });
        let message = NewMessage {
            client_id: ClientId::new(world.app.client_id()),
            msg_id: None,
            message_id: None,
            conversation_id: ConversationId::new(format!("cid{n}")),
            received_at: i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis())
                .unwrap(),
            data: data.to_string(),
            overtakes: false,
        };
        ids.push(store.take_in(message).await.unwrap().id);
    }
    // The others waited behind something else when the first process ended.
    store.keep_cut_off(ids[1], 1).await.unwrap();
    let config = world.gateway_config(agent);
    let gateway = Gateway::start(config, store).await.unwrap();
    let (told, suspect) = texts(&mut asked, 1).await;
    assert_eq!(told, ["suspect"]);
    assert!(asked.try_recv().is_err(), "it runs alone");
    drop(suspect);
    let (told, turns) = texts(&mut asked, 2).await;
    assert_eq!(told, ["ordinary", "other"]);
    drop(turns);
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn an_end_in_order_makes_no_message_a_suspect() {
    let world = World::new().await;
    let store = world.store();
    let app = ClientId::new("app");
    let message = |n: u8| NewMessage {
        client_id: app.clone(),
        msg_id: None,
        message_id: None,
        conversation_id: ConversationId::new("cid"),
        received_at: i64::from(n),
        data: "{}".to_owned(),
        overtakes: false,
    };
    for n in 0..2 {
        store.take_in(message(n)).await.unwrap();
    }
    let counts = async || -> Vec<u32> {
        let left = store.recover(&app, 0, 9).await.unwrap().unfinished;
        left.iter().map(|left| left.cut_off).collect()
    };
    // Only what came first can have been under way.
    assert_eq!(counts().await, [1, 0]);
    assert_eq!(counts().await, [2, 0]);
    assert_eq!(counts().await, [2, 0], "a suspect is counted when it runs");
    store.end_in_order(&app).await.unwrap();
    assert_eq!(counts().await, [1, 0]);
}
