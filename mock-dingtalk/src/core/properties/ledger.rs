//! A ledger of one app beside the core: for each thing that can happen it says beforehand what the
//! answer is and what is known afterwards. It knows the documented rules and nothing of the core.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::call;
use crate::core::{
    AppOptions, ClientFrame, ConnectionKey, DeliveryRules, Effect, Fleet, Moment, Outgoing,
    Profile, SaidState, Say, UpgradeVerdict,
};

const TICKET_MS: u64 = 90_000;
const TOKEN_MS: u64 = 7_200_000;
const WEBHOOK_MS: u64 = 5_400_000;
const GRACE_MS: u64 = 10_000;

/// Something that is done. Indices are taken modulo what there is.
#[derive(Debug, Clone)]
enum Deed {
    FetchToken,
    UseToken(usize),
    Open,
    Upgrade(usize),
    Say,
    Ack { frame: usize, connection: usize },
    Disconnect(usize),
    Close(usize),
    Reply(usize),
    Card(u8),
    Stream { card: u8, content: String, full: bool, ends: bool },
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let n = || 0..64_usize;
    // Around the ends of lifetimes, and in between.
    let wait = prop_oneof![
        3 => 0..20_000_u64,
        1 => prop::sample::select(vec![GRACE_MS, 16_000, 60_000, TICKET_MS, WEBHOOK_MS, TOKEN_MS])
            .prop_flat_map(|ms| ms - 1..=ms + 1),
        1 => 0..TOKEN_MS,
    ];
    prop_oneof![
        2 => Just(Deed::FetchToken),
        3 => n().prop_map(Deed::UseToken),
        3 => Just(Deed::Open),
        4 => n().prop_map(Deed::Upgrade),
        5 => Just(Deed::Say),
        5 => (n(), n()).prop_map(|(frame, connection)| Deed::Ack { frame, connection }),
        1 => n().prop_map(Deed::Disconnect),
        1 => n().prop_map(Deed::Close),
        3 => n().prop_map(Deed::Reply),
        2 => (0..3_u8).prop_map(Deed::Card),
        4 => (0..3_u8, "[a-c]{0,3}", any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(card, content, full, ends)| Deed::Stream { card, content, full, ends }),
        4 => wait.prop_map(Deed::Wait),
    ]
}

/// A message of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    msg_id: String,
    attempts: usize,
    acks: u64,
    /// Connection of the first answer, and whether the frame had gone to another one.
    acked: Option<bool>,
}

#[derive(Debug, Clone)]
struct Frame {
    message: usize,
    message_id: String,
    connection: ConnectionKey,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Card {
    text: String,
    finished: bool,
}

struct Ledger {
    fleet: Fleet,
    name: String,
    secret: String,
    robot: String,
    redelivers_after: Option<u64>,
    now: u64,
    /// Each token that was handed out; the last one with its end.
    tokens: Vec<String>,
    token_ends: u64,
    /// Ticket, end, whether it was used.
    tickets: Vec<(String, u64, bool)>,
    /// The ones that get pushes.
    open: Vec<ConnectionKey>,
    /// The announced ones, with their end.
    draining: Vec<(ConnectionKey, u64)>,
    messages: Vec<Message>,
    /// When a message comes again if it is not acked.
    planned: BTreeMap<usize, u64>,
    frames: Vec<Frame>,
    /// Webhook and end.
    webhooks: Vec<(String, u64)>,
    cards: BTreeMap<u8, Card>,
    /// Messages of the robot that are no cards.
    said: usize,
    guids: usize,
}

impl Ledger {
    fn new(mut fleet: Fleet, profile: Profile) -> Self {
        let rules = DeliveryRules { profile, ..DeliveryRules::default() };
        let at = moment(0);
        let info = fleet.mint_app(at, AppOptions::default().delivery(rules)).unwrap();
        let unlimited = fleet.act(at, &info.client_id, |app, _| {
            app.api.limits.per_second = None;
            Ok(())
        });
        unlimited.unwrap();
        let redelivers_after = match profile {
            Profile::Documented => None,
            Profile::Observed60s => Some(60_000),
            Profile::Observed16s => Some(16_000),
        };
        Self {
            fleet,
            name: info.client_id,
            secret: info.client_secret,
            robot: info.robot_code,
            redelivers_after,
            now: 0,
            tokens: Vec::new(),
            token_ends: 0,
            tickets: Vec::new(),
            open: Vec::new(),
            draining: Vec::new(),
            messages: Vec::new(),
            planned: BTreeMap::new(),
            frames: Vec::new(),
            webhooks: Vec::new(),
            cards: BTreeMap::new(),
            said: 0,
            guids: 0,
        }
    }

    fn call(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let token = self.tokens.last().cloned();
        self.call_with(method, path, token, body)
    }

    fn call_with(
        &mut self,
        method: &str,
        path: &str,
        token: Option<String>,
        body: &Value,
    ) -> (u16, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let now = moment(self.now);
        call(&mut self.fleet, now, (method, path, query), token, &body.to_string())
    }

    fn token_is_good(&self) -> bool {
        self.now < self.token_ends
    }

    /// Does it, and holds the answer against what the ledger says.
    #[expect(clippy::too_many_lines, reason = "one short arm for each deed")]
    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::FetchToken => {
                let ask = json!({"appKey": self.name, "appSecret": self.secret});
                let (_, told) = self.call_with("POST", "/v1.0/oauth2/accessToken", None, &ask);
                let token = told["accessToken"].as_str().unwrap().to_owned();
                let same = self.tokens.last() == Some(&token);
                assert_eq!(same, self.token_is_good(), "a token stays as long as it is good");
                if !same {
                    assert!(!self.tokens.contains(&token), "an old token came again");
                    self.tokens.push(token);
                }
                self.token_ends = self.now + TOKEN_MS;
            }
            Deed::UseToken(n) => {
                let Some(at) = pick(n, &self.tokens) else { return };
                let good = at + 1 == self.tokens.len() && self.token_is_good();
                let ask = json!({
                    "robotCode": self.robot, "userIds": ["user0001"],
                    "msgKey": "sampleText", "msgParam": "{\"content\":\"x\"}",
                });
                let (token, path) = (self.tokens[at].clone(), "/v1.0/robot/oToMessages/batchSend");
                let (status, told) = self.call_with("POST", path, Some(token), &ask);
                assert_eq!(status == 200, good, "{told}");
                self.said += usize::from(good);
            }
            Deed::Open => {
                let ask = json!({
                    "clientId": self.name, "clientSecret": self.secret, "subscriptions":
                        [{"type": "CALLBACK", "topic": "/v1.0/im/bot/messages/get"}],
                });
                let path = "/v1.0/gateway/connections/open";
                let (_, told) = self.call_with("POST", path, None, &ask);
                let ticket = told["ticket"].as_str().unwrap().to_owned();
                assert!(self.tickets.iter().all(|(known, ..)| *known != ticket));
                self.tickets.push((ticket, self.now + TICKET_MS, false));
            }
            Deed::Upgrade(n) => {
                let Some(at) = pick(n, &self.tickets) else { return };
                let (ticket, ends, used) = self.tickets[at].clone();
                let now = moment(self.now);
                let verdict = self.fleet.upgrade(now, &ticket);
                let UpgradeVerdict::Accept { key, .. } = verdict else {
                    assert!(used || self.now >= ends, "a good ticket was refused");
                    return;
                };
                assert!(!used && self.now < ends, "a ticket was taken that is no good");
                self.tickets[at].2 = true;
                self.fleet.opened(now, key);
                self.open.push(key);
            }
            Deed::Say => {
                let say =
                    Say { from: "user0001".to_owned(), conversation: None, text: "x".to_owned() };
                let said =
                    self.fleet.act(moment(self.now), &self.name, |app, cx| app.say(cx, &say));
                let said = said.unwrap();
                let lost = self.open.is_empty();
                assert_eq!(said.state == SaidState::Lost, lost);
                let number = self.messages.len();
                let attempts = usize::from(!lost);
                let msg_id = said.msg_id;
                self.messages.push(Message { msg_id, attempts, acks: 0, acked: None });
                if let Some(after) = self.redelivers_after.filter(|_| !lost) {
                    self.planned.insert(number, self.now + after);
                }
            }
            Deed::Ack { frame, connection } => {
                let live: Vec<_> =
                    self.open.iter().chain(self.draining.iter().map(|(key, _)| key)).collect();
                let (Some(frame), Some(at)) = (pick(frame, &self.frames), pick(connection, &live))
                else {
                    return;
                };
                let (key, frame) = (*live[at], self.frames[frame].clone());
                let text = json!({"code": 200, "headers": {"messageId": frame.message_id}});
                let text = text.to_string();
                let parsed = ClientFrame::parse(&text);
                self.fleet.received(moment(self.now), key, parsed, text.into());
                let message = &mut self.messages[frame.message];
                message.acks += 1;
                message.acked.get_or_insert(frame.connection != key);
                self.planned.remove(&frame.message);
            }
            Deed::Disconnect(n) => {
                let Some(at) = pick(n, &self.open) else { return };
                let key = self.open.remove(at);
                let told = self.fleet.act(moment(self.now), &self.name, |app, cx| {
                    app.disconnect(cx, key, "rotation", true);
                    Ok(())
                });
                told.unwrap();
                self.draining.push((key, self.now + GRACE_MS));
            }
            Deed::Close(n) => {
                let Some(at) = pick(n, &self.open) else { return };
                self.fleet.closed(moment(self.now), self.open.remove(at), "closed", &[]);
            }
            Deed::Reply(n) => {
                let Some(at) = pick(n, &self.webhooks) else { return };
                let (webhook, ends) = self.webhooks[at].clone();
                let path = webhook.strip_prefix("http://mock:1").unwrap();
                let (_, told) =
                    self.call("POST", path, &json!({"msgtype": "text", "text": {"content": "x"}}));
                let errcode = if self.now < ends { 0 } else { 300_001 };
                assert_eq!(told["errcode"], errcode, "{told}");
                self.said += usize::from(errcode == 0);
            }
            Deed::Card(id) => {
                let new = !self.cards.contains_key(&id);
                let ask = json!({
                    "cardTemplateId": "t.schema", "outTrackId": id.to_string(),
                    "cardData": {"cardParamMap": {"body": ""}},
                    "openSpaceId": "dtv1.card//IM_ROBOT.user0001",
                    "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT"},
                });
                let (status, told) =
                    self.call("POST", "/v1.0/card/instances/createAndDeliver", &ask);
                assert_eq!(status == 200, new && self.token_is_good(), "{told}");
                if status == 200 {
                    self.cards.insert(id, Card { text: String::new(), finished: false });
                }
            }
            Deed::Stream { card: id, content, full, ends } => {
                self.guids += 1;
                let ask = json!({
                    "outTrackId": id.to_string(), "guid": self.guids.to_string(), "key": "body",
                    "content": content, "isFull": full, "isFinalize": ends, "isError": false,
                });
                let (status, told) = self.call("PUT", "/v1.0/card/streaming", &ask);
                let good = self.token_is_good();
                let card = self.cards.get_mut(&id).filter(|_| good);
                assert_eq!(status == 200, card.is_some(), "{told}");
                if let Some(card) = card.filter(|card| !card.finished) {
                    card.text = if full { content } else { format!("{}{content}", card.text) };
                    card.finished = ends;
                }
            }
            Deed::Wait(ms) => {
                self.now += ms;
                self.fleet.tick(moment(self.now));
                let now = self.now;
                self.draining.retain(|(_, ends)| *ends > now);
                let due = self.planned.extract_if(.., |_, at| *at <= now);
                for (message, _) in due.collect::<Vec<_>>() {
                    // It is tried once, whether or not anybody is there.
                    self.messages[message].attempts += usize::from(!self.open.is_empty());
                }
            }
        }
        self.read_frames();
        self.check();
    }

    /// What went out, as a bot reads it.
    fn read_frames(&mut self) {
        for effect in self.fleet.take_effects() {
            let Effect::Send { connection, frame: Outgoing::Text(text) } = effect else { continue };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["type"] != "CALLBACK" {
                continue;
            }
            assert!(self.open.contains(&connection), "a push to a connection that is not open");
            let data: Value = serde_json::from_str(frame["data"].as_str().unwrap()).unwrap();
            let message = self.messages.iter().position(|known| data["msgId"] == *known.msg_id);
            let message = message.expect("what comes was said");
            let message_id = frame["headers"]["messageId"].as_str().unwrap().to_owned();
            let again = self.frames.iter().any(|known| known.message == message);
            if !again {
                let webhook = data["sessionWebhook"].as_str().unwrap().to_owned();
                self.webhooks.push((webhook, self.now + WEBHOOK_MS));
            }
            self.frames.push(Frame { message, message_id, connection });
        }
    }

    /// What is known is what the ledger has.
    fn check(&self) {
        let app = self.fleet.app(&self.name).unwrap();
        let rows = app.delivery_rows(0).into_iter().map(|row| Message {
            msg_id: row.msg_id.unwrap(),
            attempts: row.attempts.len(),
            acks: row.acks,
            acked: row.ack.map(|ack| ack.on_other_connection),
        });
        assert_eq!(rows.collect::<Vec<_>>(), self.messages);
        let frames = self.messages.iter().map(|message| message.attempts).sum::<usize>();
        assert_eq!(frames, self.frames.len(), "each attempt is one frame");
        assert_eq!(app.open_connections(), self.open.len());
        assert_eq!(app.connections.len(), self.open.len() + self.draining.len());
        let sent = app.sent_rows();
        assert_eq!(sent.len(), self.said + self.cards.len());
        for (id, card) in &self.cards {
            let known = app.api.cards.get(&id.to_string()).unwrap();
            let text = known.params.get("body").and_then(Value::as_str).unwrap_or_default();
            assert_eq!(text, card.text, "card {id}");
        }
        let finished = sent.iter().filter(|row| row.finished).count();
        let ended = self.cards.values().filter(|card| card.finished).count();
        assert_eq!(finished, self.said + ended, "a card is finished when its stream is");
    }
}

fn pick<T>(n: usize, of: &[T]) -> Option<usize> {
    (!of.is_empty()).then(|| n % of.len())
}

fn moment(ms: u64) -> Moment {
    let unix_ms = 1_780_000_000_000 + i64::try_from(ms).unwrap();
    Moment { since_start: Duration::from_millis(ms), unix_ms }
}

/// Seed, profile and what is done.
type Play = (u64, Profile, Vec<Deed>);

fn play() -> impl Strategy<Value = Play> {
    let profiles = vec![Profile::Documented, Profile::Observed60s, Profile::Observed16s];
    (any::<u64>(), prop::sample::select(profiles), prop::collection::vec(deed(), 1..80))
}

fn hold(fleet: Fleet, profile: Profile, deeds: Vec<Deed>) {
    let mut ledger = Ledger::new(fleet, profile);
    for deed in deeds {
        ledger.act(deed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_core_answers_as_the_ledger_says((seed, profile, deeds) in play()) {
        hold(Fleet::new(seed), profile, deeds);
    }
}

/// The ledger is worth something only if a wrong core breaks it.
#[cfg(feature = "mutations")]
#[test]
fn a_wrong_core_breaks_the_ledger() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use proptest::test_runner::TestRunner;

    use crate::core::Mutations;

    for name in [
        "ticket-used-twice",
        "ticket-endless",
        "token-unknown",
        "token-endless",
        "token-renewed",
        "webhook-endless",
        "card-after-end",
        "ack-elsewhere",
        "redelivers-acked",
        "redelivers-anew",
        "routes-to-draining",
        "grace-endless",
        "pushed-twice",
        "keeps-lost",
    ] {
        let config = ProptestConfig {
            cases: 1_000,
            max_shrink_iters: 0,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let outcome = TestRunner::new(config).run(&play(), |(seed, profile, deeds)| {
            let wrong = Fleet::new(seed).wrong(Mutations::named(name).unwrap());
            let held = catch_unwind(AssertUnwindSafe(|| hold(wrong, profile, deeds)));
            prop_assert!(held.is_ok());
            Ok(())
        });
        assert!(outcome.is_err(), "{name} is not noticed");
    }
}
