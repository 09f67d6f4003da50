//! What every store must do, whichever engine is behind it.

mod inbox;
mod schedules;

use std::sync::Arc;

pub(super) use self::inbox::messages_are_followed_retried_and_ended;
pub(super) use self::schedules::schedules_and_their_runs_are_kept;

use super::pairing::{
    Asked, CODE_LENGTH, CODE_LETTERS, CODE_LIFE_MS, PairingRequest, TELL_PAUSE_MS,
};
use super::peers::Peer;
use super::pushes::{KEY_LIFE_MS, KeptPush, NewPush};
use super::sessions::{Exchange, HistoryLimits, Session, SessionKey, Tokens};
use super::{
    CardState, KeptCard, NewCard, NewMessage, Recovered, Said, SaidPart, SentMessage, Store,
    StoreError, StoreReader,
};
use crate::agent::{Say, SessionSettings};
use crate::credential::ClientId;
use crate::protocol::{ConversationId, MessageId, MsgId, ProcessQueryKey, RobotMessage};

pub(super) fn message(app: &str, n: i64) -> NewMessage {
    NewMessage {
        client_id: ClientId::new(app),
        msg_id: Some(MsgId::new(format!("msg{n}"))),
        message_id: Some(MessageId::new(format!("frame{n}"))),
        conversation_id: ConversationId::new("cid"),
        received_at: n,
        data: format!(r#"{{"n":{n}}}"#),
        overtakes: false,
    }
}

fn text(text: &str) -> Say {
    Say::text(text)
}

fn whole(parts: Vec<Say>) -> Vec<SaidPart> {
    parts.into_iter().map(SaidPart::from).collect()
}

fn all(parts: Vec<Say>) -> Said {
    Said { parts: whole(parts), seq: None, begun: true, ended: true }
}

fn left(recovered: &Recovered) -> Vec<(String, Vec<(Say, bool)>)> {
    let parts = |m: &super::Unfinished| {
        m.parts.iter().map(|part| (part.message.clone(), part.begun)).collect()
    };
    recovered.unfinished.iter().map(|m| (m.data.clone(), parts(m))).collect()
}

/// Runs the contract. `open` opens the same store each time; nothing else holds it meanwhile. A store that
/// `tells_repeats` by itself gives nobody ids to remember.
pub(super) async fn holds<S: Store, R: StoreReader>(
    mut open: impl FnMut() -> Result<S, StoreError>,
    read: impl Fn() -> Result<R, StoreError>,
    tells_repeats: bool,
) {
    let app = ClientId::new("app");
    let store = Arc::new(open().unwrap());
    assert_eq!(store.recover(&app, 0, 9).await.unwrap(), Recovered::default());

    // Queued without waiting: order is that of the calls.
    let kept: Vec<_> = (1..=5).map(|n| store.take_in(message("app", n))).collect();
    let other = store.take_in(message("other", 6));
    store.barrier().await.unwrap();
    let mut ids = Vec::new();
    for id in kept {
        ids.push(id.await.unwrap().id);
    }
    assert!(ids.is_sorted());
    other.await.unwrap();

    // 1: answered and sent. 2: nothing to say. 3: two parts, the first sent. 4: failed. 5: waits.
    let parts = store.said(ids[0], all(vec![text("one")])).await.unwrap();
    store.sent(parts[0], None).await.unwrap();
    assert!(store.said(ids[1], all(Vec::new())).await.unwrap().is_empty());
    let markdown = Say::Message(RobotMessage::Markdown {
        title: "t".to_owned(),
        text: "**b** 你好".to_owned(),
    });
    let last = vec![text("a"), markdown.clone(), text("c")];
    let parts = store.said(ids[2], all(last)).await.unwrap();
    store.sent(parts[0], Some(parts[1])).await.unwrap();
    let failing = store.said(ids[3], all(vec![text("lost")])).await.unwrap();
    assert_eq!(failing.len(), 1);
    store.failed(ids[3], "nobody there".to_owned()).await.unwrap();
    drop(store);

    let store = open().unwrap();
    let recovered = store.recover(&app, 2, 9).await.unwrap();
    assert_eq!(
        left(&recovered),
        [
            (r#"{"n":3}"#.to_owned(), vec![(markdown.clone(), true), (text("c"), false)]),
            (r#"{"n":5}"#.to_owned(), vec![]),
        ]
    );
    assert_eq!(recovered.unfinished[0].received_at, 3);
    let newest = store.recover(&app, 2, 1).await.unwrap();
    let seen: Vec<_> = recovered.seen.iter().map(|seen| seen.at).collect();
    if tells_repeats {
        assert_eq!((seen, newest.seen), (vec![], vec![]));
    } else {
        assert_eq!(seen, [2, 3, 4, 5], "finished ones too, of this app, since then");
        assert_eq!(newest.seen, recovered.seen[3..], "the newest, if there may not be more");
        assert_eq!(recovered.seen[0].msg_id, Some(MsgId::new("msg2")));
        assert_eq!(recovered.seen[0].message_id, Some(MessageId::new("frame2")));
    }

    // What is left is finished by the next process.
    let parts = &recovered.unfinished[0].parts;
    store.sent(parts[0].id, Some(parts[1].id)).await.unwrap();
    store.begin(parts[1].id).await.unwrap();
    store.sent(parts[1].id, None).await.unwrap();
    store.said(recovered.unfinished[1].id, all(Vec::new())).await.unwrap();
    let recovered = store.recover(&app, 100, 9).await.unwrap();
    assert_eq!(recovered, Recovered::default());
    let other = store.recover(&ClientId::new("other"), 0, 9).await.unwrap();
    assert_eq!(other.unfinished.len(), 1);

    drop(store);
    what_is_said_piece_by_piece(&mut open).await;
    what_was_sent_is_found_by_its_key(&mut open).await;
    what_a_session_remembers(&mut open).await;
    cards_are_kept_until_they_are_final(&mut open).await;
    strangers_are_paired(&mut open, read).await;
}

async fn what_was_sent_is_found_by_its_key<S: Store>(
    open: &mut impl FnMut() -> Result<S, StoreError>,
) {
    let (app, key) = (ClientId::new("keys"), ProcessQueryKey::new("Pqk1"));
    let sent = SentMessage {
        client_id: app.clone(),
        process_query_key: key.clone(),
        conversation_id: ConversationId::new("cid"),
        in_group: true,
        text: "said".to_owned(),
        sent_at: crate::unix_time::now_ms(),
    };
    let store = open().unwrap();
    store.remember_sent(sent.clone()).await.unwrap();
    drop(store);
    let store = open().unwrap();
    assert_eq!(store.sent_message(&app, &key).await.unwrap(), Some(sent));
    // Case matters, and so does whose it is.
    let none = store.sent_message(&app, &ProcessQueryKey::new("pqk1")).await.unwrap();
    assert_eq!(none, None);
    assert_eq!(store.sent_message(&ClientId::new("other"), &key).await.unwrap(), None);
}

/// Sessions: kept apart, once per turn, within their limits.
async fn what_a_session_remembers<S: Store>(open: &mut impl FnMut() -> Result<S, StoreError>) {
    let key = |app: &str| SessionKey { client_id: ClientId::new(app), name: "s".to_owned() };
    let (mine, other) = (key("app"), key("other"));
    let exchange = |turn: i64, length: usize| Exchange {
        turn,
        question: "问".repeat(length),
        answer: "a".repeat(length),
    };
    let tokens = Tokens { prompt: 10, completion: 1 };
    let limits = HistoryLimits { exchanges: 3, bytes: 40 };
    let store = open().unwrap();
    assert_eq!(store.session(&mine).await.unwrap(), Session::default());
    for turn in [4, 7, 7, 9, 12] {
        store.exchanged(&mine, exchange(turn, 1), tokens, limits).await.unwrap();
    }
    let settings = SessionSettings { model: Some("m".to_owned()), ..SessionSettings::default() };
    store.set(&mine, settings.clone()).await.unwrap();
    drop(store);

    let store = open().unwrap();
    let session = store.session(&mine).await.unwrap();
    let turns = |session: &Session| session.exchanges.iter().map(|e| e.turn).collect::<Vec<_>>();
    assert_eq!(turns(&session), [7, 9, 12], "three at most, none twice");
    assert_eq!((session.bytes(), session.settings), (12, settings.clone()));
    assert_eq!(session.tokens, Tokens { prompt: 40, completion: 4 });
    // 4 bytes for each character: the newest stays, however long, and what is before it goes.
    store.exchanged(&mine, exchange(13, 9), tokens, limits).await.unwrap();
    assert_eq!(turns(&store.session(&mine).await.unwrap()), [12, 13], "40 bytes");
    store.exchanged(&mine, exchange(14, 11), tokens, limits).await.unwrap();
    assert_eq!(turns(&store.session(&mine).await.unwrap()), [14]);
    store.exchanged(&mine, exchange(15, 1), tokens, limits).await.unwrap();
    store.summarised(&mine, 14, "short".to_owned()).await.unwrap();
    let session = store.session(&mine).await.unwrap();
    assert_eq!((turns(&session), session.summary.as_deref()), (vec![15], Some("short")));
    assert_eq!(store.session(&other).await.unwrap(), Session::default(), "of another app");
    // What a summary cost counts, too.
    store.used(&mine, tokens).await.unwrap();
    assert_eq!(store.session(&mine).await.unwrap().tokens, Tokens { prompt: 80, completion: 8 });
    unsaid_answers_are_forgotten(&store).await;
    store.forget(&mine).await.unwrap();
    let forgotten = Session { settings, ..Session::default() };
    assert_eq!(store.session(&mine).await.unwrap(), forgotten);
}

/// A stop may come between the keeping of an exchange and its saying.
async fn unsaid_answers_are_forgotten<S: Store>(store: &S) {
    let key = SessionKey { client_id: ClientId::new("unsaid"), name: "s".to_owned() };
    let limits = HistoryLimits { exchanges: 9, bytes: 900 };
    let mut said = Vec::new();
    for (n, arrives) in [(20, true), (21, false)] {
        let id = store.take_in(message("unsaid", n)).await.unwrap().id;
        let (question, answer) = ("q".to_owned(), "a".to_owned());
        let exchange = Exchange { turn: id.number(), question, answer };
        store.exchanged(&key, exchange, Tokens::default(), limits).await.unwrap();
        let parts = store.said(id, all(vec![text("a"), text("b")])).await.unwrap();
        if arrives {
            store.sent(parts[0], Some(parts[1])).await.unwrap();
            said.push(id.number());
        }
        store.failed(id, "stopped".to_owned()).await.unwrap();
    }
    let session = store.session(&key).await.unwrap();
    assert_eq!(session.exchanges.iter().map(|e| e.turn).collect::<Vec<_>>(), said);
}

/// Cards of one app: closed, by the arrival of their last words too, abandoned, and open.
async fn cards_are_kept_until_they_are_final<S: Store>(
    open: &mut impl FnMut() -> Result<S, StoreError>,
) {
    let app = ClientId::new("cards");
    let store = open().unwrap();
    let message = store.take_in(message("cards", 9)).await.unwrap().id;
    let mut ids = Vec::new();
    for n in 0..5 {
        let card = NewCard {
            client_id: if n == 4 { ClientId::new("other") } else { app.clone() },
            message,
            out_track_id: format!("card{n}"),
            key: "msgContent".to_owned(),
            conversation_id: ConversationId::new("cid"),
            in_group: n == 1,
        };
        ids.push(store.open_card(card).await.unwrap());
    }
    let parts = vec![text("a"), text("b")];
    let parts = store
        .said(message, Said { parts: whole(parts), seq: None, begun: true, ended: false })
        .await
        .unwrap();
    store.close_card(ids[0]).await.unwrap();
    store.answer_in_card(ids[1], parts[0]).await.unwrap();
    store.answer_in_card(ids[2], parts[1]).await.unwrap();
    store.abandon_card(ids[3]).await.unwrap();
    drop(store);

    let store = open().unwrap();
    let states = |cards: Vec<KeptCard>| -> Vec<_> {
        cards.into_iter().map(|kept| (kept.card.out_track_id, kept.state)).collect()
    };
    let named = |n: u8, state| (format!("card{n}"), state);
    let (kept, gone) = (CardState::Open, CardState::Abandoned);
    let found = store.cards(&app, 9).await.unwrap();
    assert!(found[1].card.in_group && found[1].card.message == message);
    let expected = [named(0, CardState::Closed), named(1, kept), named(2, kept), named(3, gone)];
    assert_eq!(states(found), expected);
    store.sent(parts[0], None).await.unwrap();
    let found = states(store.cards(&app, 0).await.unwrap());
    assert_eq!(found, [named(2, kept), named(3, gone)], "the last words of 1 have arrived");
}

/// A turn that goes on: what it has said is not all.
async fn what_is_said_piece_by_piece<S: Store>(open: &mut impl FnMut() -> Result<S, StoreError>) {
    let app = ClientId::new("pieces");
    let store = open().unwrap();
    let id = store.take_in(message("pieces", 7)).await.unwrap().id;
    let piece = |parts, seq, ended| Said { parts: whole(parts), seq, begun: false, ended };
    let first = store.said(id, piece(vec![text("a")], Some(3), false)).await.unwrap();
    store.begin(first[0]).await.unwrap();
    store.sent(first[0], None).await.unwrap();
    drop(store);

    let store = open().unwrap();
    let unfinished = store.recover(&app, 0, 9).await.unwrap().unfinished;
    assert_eq!((unfinished.len(), unfinished[0].said, unfinished[0].ended), (1, 1, false));
    assert!(unfinished[0].parts.is_empty());
    assert_eq!(unfinished[0].seq, 3);
    let second = store.said(id, piece(vec![text("b"), text("c")], None, true)).await.unwrap();
    store.begin(second[0]).await.unwrap();
    store.sent(second[0], Some(second[1])).await.unwrap();
    let unfinished = store.recover(&app, 0, 9).await.unwrap().unfinished;
    assert_eq!((unfinished[0].said, unfinished[0].ended), (3, true));
    assert_eq!(unfinished[0].seq, 3, "what is not counted changes nothing");
    assert_eq!(unfinished[0].parts.len(), 1);
    store.sent(second[1], None).await.unwrap();
    assert!(store.recover(&app, 0, 9).await.unwrap().unfinished.is_empty());

    // What is too long for one message is one thing said.
    let id = store.take_in(message("pieces", 9)).await.unwrap().id;
    let mut parts = whole(vec![text("e"), text("f"), text("g")]);
    parts[1].continues = true;
    store.said(id, Said { parts, seq: None, begun: true, ended: false }).await.unwrap();
    let unfinished = store.recover(&app, 0, 9).await.unwrap().unfinished;
    assert_eq!((unfinished[0].said, unfinished[0].parts.len()), (2, 3));
    store.failed(id, "enough".to_owned()).await.unwrap();

    // The end may come after all has arrived.
    let id = store.take_in(message("pieces", 8)).await.unwrap().id;
    let parts = whole(vec![text("d")]);
    let part = store.said(id, Said { parts, seq: None, begun: true, ended: false });
    store.sent(part.await.unwrap()[0], None).await.unwrap();
    assert_eq!(store.recover(&app, 0, 9).await.unwrap().unfinished.len(), 1);
    store.said(id, piece(Vec::new(), None, true)).await.unwrap();
    assert!(store.recover(&app, 0, 9).await.unwrap().unfinished.is_empty());
}

/// Codes are made, told again after a pause, run out, and are approved or denied, by another opener too.
async fn strangers_are_paired<S: Store, R: StoreReader>(
    open: &mut impl FnMut() -> Result<S, StoreError>,
    read: impl Fn() -> Result<R, StoreError>,
) {
    let app = ClientId::new("app");
    let (gateway, tool, look) = (open().unwrap(), open().unwrap(), read().unwrap());
    let request = |sender: &str| PairingRequest {
        client_id: app.clone(),
        sender: sender.to_owned(),
        nick: Some("Nick".to_owned()),
    };
    let ask = async |sender: &str, now| gateway.ask_pairing(request(sender), now).await.unwrap();
    let code = |asked| match asked {
        Asked::Tell { code } => code,
        asked => panic!("no code: {asked:?}"),
    };
    let first = code(ask("a", 0).await);
    assert_eq!(first.len(), CODE_LENGTH);
    assert!(first.bytes().all(|letter| CODE_LETTERS.contains(&letter)), "{first}");
    assert_eq!(ask("a", TELL_PAUSE_MS - 1).await, Asked::Told);
    assert_eq!(code(ask("a", TELL_PAUSE_MS).await), first, "the same code again");
    let (second, _third) = (code(ask("b", 1).await), code(ask("c", 2).await));
    assert_eq!(ask("d", 3).await, Asked::Full);
    let other = PairingRequest { client_id: ClientId::new("other"), ..request("a") };
    assert!(matches!(gateway.ask_pairing(other, 3).await, Ok(Asked::Tell { .. })), "each app");

    let waiting = look.pairing_requests(3).unwrap();
    assert_eq!(waiting.len(), 4);
    assert_eq!((&waiting[0].code, waiting[0].asked_at), (&first, 0));
    assert_eq!(waiting[0].request, request("a"));
    let decided = tool.decide_pairing(first.clone(), true, 5).await.unwrap();
    assert_eq!(decided.as_ref(), Some(&waiting[0]));
    assert_eq!(tool.decide_pairing(first, true, 5).await.unwrap(), None, "once");
    assert_eq!(ask("a", 5).await, Asked::Paired);
    let paired = gateway.paired(&app).await.unwrap();
    assert_eq!((paired.len(), paired[0].sender.as_str(), paired[0].approved_at), (1, "a", 5));
    assert!(gateway.paired(&ClientId::new("other")).await.unwrap().is_empty());
    assert_eq!((paired[0].nick.as_deref(), paired[0].told), (Some("Nick"), false));
    assert!(gateway.take_telling(&app, "a".to_owned()).await.unwrap());
    assert!(!tool.take_telling(&app, "a".to_owned()).await.unwrap(), "told once");
    assert!(!tool.take_telling(&app, "b".to_owned()).await.unwrap(), "who is not paired");
    let everybody = look.everybody_paired().unwrap();
    assert_eq!((everybody.len(), &everybody[0].client_id, everybody[0].told), (1, &app, true));
    let revoke = async |app: &str| {
        tool.revoke_pairing("a".to_owned(), Some(ClientId::new(app))).await.unwrap().len()
    };
    assert_eq!((revoke("other").await, revoke("app").await, revoke("app").await), (0, 1, 0));
    assert!(matches!(ask("a", 6).await, Asked::Tell { .. }), "a stranger again");

    assert!(tool.decide_pairing(second, false, 5).await.unwrap().is_some());
    assert_eq!(ask("b", CODE_LIFE_MS).await, Asked::Denied);
    let fresh = code(ask("b", CODE_LIFE_MS + 1).await);
    let end = CODE_LIFE_MS + 1 + CODE_LIFE_MS;
    assert_eq!(tool.decide_pairing(fresh.clone(), true, end).await.unwrap(), None, "run out");
    assert!(tool.decide_pairing(fresh, true, end - 1).await.unwrap().is_some());
}

/// Counts never fall, and belong to one app and month; keys are kept for a week.
pub(super) async fn calls_and_keys_are_kept<S: Store>(open: impl Fn() -> Result<S, StoreError>) {
    let (app, other) = (ClientId::new("app"), ClientId::new("other"));
    let store = open().unwrap();
    assert_eq!(store.calls(&app, 7).await.unwrap(), 0);
    for (id, name) in [("cidAb", None), ("cidAb", Some("Team")), ("cidXy", None), ("cidxY", None)] {
        let name = name.map(str::to_owned);
        let peer = Peer { client_id: app.clone(), is_group: true, id: id.to_owned(), name };
        store.met(peer).await.unwrap();
    }
    assert_eq!(store.peers_like(&app, true, "cidab").await.unwrap(), ["cidAb"]);
    assert_eq!(store.peers_like(&app, true, "CIDXY").await.unwrap().len(), 2);
    assert!(store.peers_like(&app, false, "cidAb").await.unwrap().is_empty(), "people");
    assert!(store.peers_like(&other, true, "cidAb").await.unwrap().is_empty(), "another app's");
    for (calls, kept) in [(5, 5), (9, 9), (3, 9)] {
        store.keep_calls(&app, 7, calls).await.unwrap();
        assert_eq!(store.calls(&app, 7).await.unwrap(), kept);
    }
    assert_eq!(store.calls(&other, 7).await.unwrap(), 0);
    store.keep_calls(&other, 8, 1).await.unwrap();
    assert_eq!(store.calls(&app, 7).await.unwrap(), 9, "other apps are left alone");
    store.keep_calls(&app, 8, 2).await.unwrap();
    assert_eq!((store.calls(&app, 7).await.unwrap(), store.calls(&app, 8).await.unwrap()), (0, 2));

    let push = |client_id: &ClientId, digest: &str, at| NewPush {
        client_id: client_id.clone(),
        key: "k".to_owned(),
        digest: digest.to_owned(),
        at,
    };
    let kept = |outcomes: Option<&str>| {
        Some(KeptPush { digest: "a".to_owned(), outcomes: outcomes.map(str::to_owned) })
    };
    assert_eq!(store.begin_push(push(&app, "a", 1)).await.unwrap(), None);
    assert_eq!(store.begin_push(push(&app, "b", 2)).await.unwrap(), kept(None));
    assert_eq!(store.begin_push(push(&other, "b", 2)).await.unwrap(), None);
    store.end_push(&app, "k", "done".to_owned()).await.unwrap();
    drop(store);
    let store = open().unwrap();
    assert_eq!(store.begin_push(push(&app, "b", KEY_LIFE_MS)).await.unwrap(), kept(Some("done")));
    assert_eq!(store.begin_push(push(&app, "b", KEY_LIFE_MS + 1)).await.unwrap(), None);
}
