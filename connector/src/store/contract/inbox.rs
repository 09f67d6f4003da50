//! What an operator sees of messages, and does with them.

use super::super::inbox::{Change, InboxReader, MessageState, PARKED, STOPPED, Step, Via};
use super::super::{InboxId, NewMessage, Store, StoreError};
use super::{all, message, text};
use crate::credential::ClientId;
use crate::protocol::ProcessQueryKey;

/// Steps are noted without a write of their own; a message that failed comes again, and one that was ended
/// does not.
pub(in crate::store) async fn messages_are_followed_retried_and_ended<S: Store, R: InboxReader>(
    open: impl Fn() -> Result<S, StoreError>,
    read: impl Fn() -> Result<R, StoreError>,
) {
    let (app, other) = (ClientId::new("app"), ClientId::new("other"));
    let store = open().unwrap();
    let mut ids = Vec::new();
    for n in 1..=5 {
        let received_at = crate::unix_time::now_ms();
        let message = NewMessage { received_at, ..message("app", n) };
        ids.push(store.take_in(message).await.unwrap().id);
    }
    store.note(Step::Acked { message: ids[0], at: 2 });
    store.note(Step::Begun { message: ids[0], at: 3 });
    // 1 is answered, 2 failed with its second part unsent, 3 failed with nothing left, 4 is worked on.
    let parts = store.said(ids[0], all(vec![text("one")])).await.unwrap();
    let key = Some(ProcessQueryKey::new("Key"));
    store.note(Step::Sent { part: parts[0], via: Via::BatchSend, key });
    store.sent(parts[0], None).await.unwrap();
    let parts = store.said(ids[1], all(vec![text("a"), text("b")])).await.unwrap();
    store.sent(parts[0], Some(parts[1])).await.unwrap();
    store.failed(ids[1], "no way".to_owned()).await.unwrap();
    let parts = store.said(ids[2], all(vec![text("c")])).await.unwrap();
    store.sent(parts[0], None).await.unwrap();
    store.failed(ids[2], STOPPED.to_owned()).await.unwrap();
    store.note(Step::Begun { message: ids[3], at: 4 });
    // 5 is not tried any more, since it was cut off too often.
    store.keep_cut_off(ids[4], 5).await.unwrap();
    store.failed(ids[4], format!("{PARKED}it does harm")).await.unwrap();
    drop(store);

    let reader = read().unwrap();
    let states = [MessageState::Working, MessageState::Failed, MessageState::Stopped];
    let listed: Vec<_> =
        reader.list(&states, 9).unwrap().into_iter().map(|kept| (kept.id, kept.state)).collect();
    let [working, failed, stopped] = states;
    assert_eq!(listed, [(ids[1], failed), (ids[2], stopped), (ids[3], working)]);
    let parked = reader.list(&[MessageState::Parked], 9).unwrap();
    assert_eq!((parked.len(), parked[0].id, parked[0].state), (1, ids[4], MessageState::Parked));
    assert_eq!(reader.list(&states, 1).unwrap()[0].id, ids[3], "the newest");
    assert!(reader.list(&[], 9).unwrap().is_empty());
    let done = reader.by_name("msg1").unwrap().remove(0);
    assert_eq!(done, reader.by_name("frame1").unwrap().remove(0));
    assert_eq!((done.state, done.acked_at, done.begun_at), (MessageState::Done, Some(2), Some(3)));
    assert!(done.stored_at.is_some() && done.ended_at.is_some() && done.finished_at.is_some());
    let part = reader.parts(done.id).unwrap().remove(0);
    assert_eq!((part.via.as_deref(), part.say), (Some("batchSend"), Some(text("one"))));
    assert_eq!(part.process_query_key.as_deref(), Some("Key"));
    assert!(part.said_at <= part.sent_at && part.said_at.is_some());
    assert_eq!(reader.by_id(ids[1]).unwrap().unwrap().reason.as_deref(), Some("no way"));
    assert_eq!(reader.by_id(InboxId::of(99)).unwrap(), None);

    let store = open().unwrap();
    assert_eq!(store.retry(Some(&other), ids[1]).await.unwrap(), Change::Unknown);
    assert_eq!(store.retry(None, ids[0]).await.unwrap(), Change::Unfit(MessageState::Done));
    let Change::Made(left) = store.retry(Some(&app), ids[1]).await.unwrap() else {
        panic!("it had failed");
    };
    assert_eq!((left.ended, left.parts.len(), left.said), (true, 1, 2), "the rest is sent");
    let Change::Made(left) = store.retry(None, ids[2]).await.unwrap() else {
        panic!("it was stopped");
    };
    assert_eq!((left.ended, left.parts.len(), left.said), (false, 0, 0), "from the beginning");
    let unfit = Change::Unfit(MessageState::Waiting);
    assert_eq!(store.retry(None, ids[2]).await.unwrap(), unfit);

    let Change::Made(left) = store.retry(None, ids[4]).await.unwrap() else {
        panic!("it was parked");
    };
    assert_eq!(left.cut_off, 0, "it is not parked again at once");

    let end = |id| store.end(None, id, "enough".to_owned());
    assert_eq!(store.end(Some(&other), ids[1], String::new()).await.unwrap(), Change::Unknown);
    assert_eq!(end(ids[1]).await.unwrap(), Change::Made(()));
    assert_eq!(end(ids[1]).await.unwrap(), Change::Unfit(MessageState::Dropped));
    assert_eq!(end(ids[0]).await.unwrap(), Change::Unfit(MessageState::Done));
    // What was under way changes nothing any more.
    store.failed(ids[1], "late".to_owned()).await.unwrap();
    store.said(ids[1], all(Vec::new())).await.unwrap();
    assert_eq!(end(ids[3]).await.unwrap(), Change::Made(()));
    assert_eq!(end(ids[4]).await.unwrap(), Change::Made(()));
    let left = store.recover(&app, 0, 9).await.unwrap().unfinished;
    assert_eq!(left.iter().map(|left| left.id).collect::<Vec<_>>(), [ids[2]]);
    let dropped = reader.by_id(ids[1]).unwrap().unwrap();
    assert_eq!((dropped.state, dropped.reason.as_deref()), (MessageState::Dropped, Some("enough")));
}
