//! How statements are done in a transaction.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::pin::Pin;

use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::runtime::Runtime;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::super::replicas::{Bucket, Named, Place, TakenIn, Wake};
use super::super::sql::{Changed, Db, Done, Fenced, Next, Params, Row, Value, Words, params};
use super::super::{InboxId, NewMessage, StoreError};
use super::Me;
use super::link::{ANSWER, Link, Prepared, Trouble, answered_within, trouble};
use super::listener::{CHANNEL, told};
use crate::credential::ClientId;
use crate::protocol::{MessageId, MsgId};
use crate::unix_time::now_ms;

/// An answer that is not waited for yet.
pub(super) type Later = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>>>>;

/// Statements of one transaction.
pub(super) struct Statements<'a> {
    pub(super) link: &'a Link,
    pub(super) runtime: &'a Runtime,
    pub(super) me: &'a Me,
    /// What was sent and whose answers are still to be read, in order.
    later: RefCell<Vec<Later>>,
    /// Messages that others are to be told of, by app.
    elsewhere: RefCell<HashMap<ClientId, Named>>,
    /// The link is of no use any more.
    broken: RefCell<Option<String>>,
}

static WORDS: Words = Words {
    same_id_any_case: "lower(id) = lower(:id)",
    not_of_others: "bucket NOT IN (
        SELECT b.number FROM bucket b
        JOIN replica r ON r.client_id = b.client_id AND r.id = b.replica
        WHERE b.client_id = inbox.client_id AND r.alive_until > clock_timestamp()
        AND r.id <> current_setting('ddingtalk.replica'))",
    tells_repeats: true,
};

impl<'a> Statements<'a> {
    pub(super) fn new(link: &'a Link, runtime: &'a Runtime, me: &'a Me) -> Self {
        let (later, elsewhere, broken) = Default::default();
        Self { link, runtime, me, later, elsewhere, broken }
    }

    /// Why the link is of no use any more, if it is so.
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    /// Tells others of their messages that were taken in: those of a transaction together.
    pub(super) fn tell_elsewhere(&self) -> Done<()> {
        for (client_id, named) in self.elsewhere.take() {
            for payload in told(&self.me.id, &client_id, &Wake::Messages(named)) {
                self.notify(&payload)?;
            }
        }
        Ok(())
    }

    /// What is still to be answered.
    pub(super) fn outstanding(&self) -> Vec<Later> {
        self.later.take()
    }

    fn prepared(&self, sql: &str, params: Params<'_>) -> Done<(Prepared, Vec<Bound>)> {
        let prepared = match self.link.prepare(self.runtime, sql) {
            Ok(prepared) => prepared,
            // What was sent before may be why.
            Err(trouble) => return Err(self.failed(trouble)),
        };
        let bound = prepared.names.iter().map(|name| {
            let param = params.iter().find(|(known, _)| known.strip_prefix(':') == Some(name));
            let missing = || StoreError::Failed(format!("a statement lacks its parameter {name}"));
            param.map(|(_, value)| Bound::of(&value.to_value())).ok_or_else(missing)
        });
        let bound = bound.collect::<Done<Vec<_>>>()?;
        Ok((prepared, bound))
    }

    /// Waits for an answer, and for those before it. What was refused before is the reason for what comes after.
    fn answer<T>(&self, answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Done<T> {
        let before = self.outstanding();
        let all = async {
            let mut answer = Box::pin(answer);
            // It is sent before anything is waited for.
            let early = (&mut answer).now_or_never();
            for before in join_all(before).await {
                before?;
            }
            match early {
                Some(early) => early,
                None => answer.await,
            }
        };
        self.runtime
            .block_on(answered_within(self.link.answer, all))
            .map_err(|trouble| self.failed(trouble))
    }

    /// Of what went wrong, the first thing.
    fn failed(&self, after: Trouble) -> StoreError {
        let before = self.outstanding();
        let first = self.runtime.block_on(async {
            let answers = tokio::time::timeout(ANSWER, join_all(before)).await.unwrap_or_default();
            answers.into_iter().find_map(|answer| answer.err().map(|e| trouble(&e)))
        });
        let trouble = first.unwrap_or(after);
        if let Trouble::Away(reason) = &trouble {
            self.broken.replace(Some(reason.clone()));
        }
        trouble.error()
    }

    fn send(&self, prepared: Prepared, bound: Vec<Bound>) -> Later {
        let client = self.link.client.clone();
        Box::pin(async move {
            let bound: Vec<_> = bound.iter().map(|one| one as &(dyn ToSql + Sync)).collect();
            client.execute(&prepared.statement, &bound).await
        })
    }

    fn query(&self, sql: &str, params: Params<'_>) -> Done<Vec<tokio_postgres::Row>> {
        let (prepared, bound) = self.prepared(sql, params)?;
        let bound: Vec<_> = bound.iter().map(|one| one as &(dyn ToSql + Sync)).collect();
        self.answer(self.link.client.query(&prepared.statement, &bound))
    }

    fn notify(&self, payload: &str) -> Done<()> {
        self.later(
            "SELECT pg_notify(:channel, :payload)",
            params! { ":channel": CHANNEL, ":payload": payload },
        )
    }
}

impl Db for Statements<'_> {
    fn execute(&self, sql: &str, params: Params<'_>) -> Done<usize> {
        let (prepared, bound) = self.prepared(sql, params)?;
        let changed = self.answer(self.send(prepared, bound))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn later(&self, sql: &str, params: Params<'_>) -> Done<()> {
        let (prepared, bound) = self.prepared(sql, params)?;
        let mut answer = self.send(prepared, bound);
        // Now it is on its way.
        match (&mut answer).now_or_never() {
            None => self.later.borrow_mut().push(answer),
            Some(Ok(_)) => {}
            Some(Err(e)) => return Err(self.failed(trouble(&e))),
        }
        Ok(())
    }

    fn insert_if(&self, sql: &str, params: Params<'_>) -> Done<Option<i64>> {
        let sql = format!("{sql} RETURNING id");
        let rows = self.query(&sql, params)?;
        rows.first().map(|row| (row as &dyn Row).get(0)).transpose()
    }

    fn each(
        &self,
        sql: &str,
        params: Params<'_>,
        read: &mut dyn FnMut(&dyn Row) -> Done<Next>,
    ) -> Done<()> {
        for row in self.query(sql, params)? {
            if read(&row)? == Next::Enough {
                break;
            }
        }
        Ok(())
    }

    fn words(&self) -> &'static Words {
        &WORDS
    }

    /// A record of the log that nobody reads, which holds no lock.
    fn probe(&self) -> Done<()> {
        self.execute("SELECT pg_logical_emit_message(TRUE, 'ddingtalk', '')", params! {}).map(drop)
    }

    /// The bucket stays whose it is until the transaction ends: whoever takes it then finds the message.
    fn take_in(&self, message: &NewMessage) -> Done<TakenIn> {
        let bucket = i64::from(Bucket::of(&message.conversation_id).number());
        let client_id = message.client_id.as_str();
        let rows = self.query(
            "WITH owner AS MATERIALIZED (
                 SELECT b.replica FROM bucket b
                 WHERE b.client_id = :client_id AND b.number = :bucket FOR SHARE
             ), alive AS MATERIALIZED (
                 SELECT r.is_full AND r.id <> :me AND NOT :overtakes AS has_no_room FROM replica r, owner
                 WHERE r.client_id = :client_id AND r.id = owner.replica AND r.alive_until > clock_timestamp()
             ), kept AS (
                 INSERT INTO inbox (client_id, bucket, msg_id, message_id, conversation_id, received_at,
                     stored_at, data)
                 SELECT :client_id, :bucket, :msg_id, :message_id, :conversation_id, :received_at, :now, :data
                 WHERE NOT EXISTS (SELECT 1 FROM alive WHERE has_no_room)
                 ON CONFLICT DO NOTHING RETURNING id
             )
             SELECT (SELECT id FROM kept), owner.replica, alive.has_no_room
             FROM (SELECT 1) AS one LEFT JOIN owner ON TRUE LEFT JOIN alive ON TRUE",
            params! {
                ":client_id": client_id,
                ":me": self.me.id.as_str(),
                ":overtakes": message.overtakes,
                ":bucket": bucket,
                ":msg_id": message.msg_id.as_ref().map(MsgId::as_str),
                ":message_id": message.message_id.as_ref().map(MessageId::as_str),
                ":conversation_id": message.conversation_id.as_str(),
                ":received_at": message.received_at,
                ":now": now_ms(),
                ":data": message.data,
            },
        )?;
        // What it repeats may have been pruned in this moment.
        let none = || StoreError::Failed("a message was not kept".to_owned());
        let row = rows.first().ok_or_else(none)? as &dyn Row;
        let (owner, has_no_room): (Option<String>, Option<bool>) = (row.get(1)?, row.get(2)?);
        let Some(id) = row.get::<Option<i64>>(0)? else {
            return match self.kept_before(message) {
                Ok(None) if has_no_room == Some(true) => Err(StoreError::NoRoom),
                before => before?.ok_or_else(none),
            };
        };
        let lives = has_no_room.is_some();
        let here = match owner {
            Some(owner) if owner == self.me.id.as_str() => true,
            Some(_) if lives => false,
            // Who has joined works on nothing that is not its own; whoever gets the bucket finds the message.
            _ => !self.me.has_joined(),
        };
        if here {
            return Ok(TakenIn { id: InboxId::of(id), place: Place::Here });
        }
        let mut elsewhere = self.elsewhere.borrow_mut();
        let of_app = elsewhere.entry(message.client_id.clone()).or_default();
        of_app.entry(Bucket::of(&message.conversation_id)).or_default().insert(InboxId::of(id));
        Ok(TakenIn { id: InboxId::of(id), place: Place::Elsewhere })
    }

    fn tell(&self, client_id: &ClientId, changed: Changed) -> Done<()> {
        let wake = match changed {
            Changed::Pairing => Wake::Pairing,
            Changed::Schedules => Wake::Schedules,
        };
        told(&self.me.id, client_id, &wake).iter().try_for_each(|payload| self.notify(payload))
    }

    fn fence(&self, message: Fenced) -> Done<()> {
        let (of, id) = match message {
            Fenced::Message(id) => ("i.id = :id", id),
            Fenced::Part(id) => ("i.id = (SELECT inbox_id FROM outbox WHERE id = :id)", id),
        };
        let owner = "bucket b JOIN replica r ON r.client_id = b.client_id AND r.id = b.replica";
        let is_mine = if self.me.has_joined() {
            self.query(
                &format!(
                    "SELECT 1 FROM inbox i JOIN ({owner}) ON b.client_id = i.client_id AND b.number = i.bucket
                     WHERE {of} AND r.id = :me AND r.alive_until > clock_timestamp() FOR SHARE OF b"
                ),
                params! { ":id": id, ":me": self.me.id.as_str() },
            )
            .map(|rows| !rows.is_empty())
        } else {
            self.query(
                &format!(
                    "SELECT 1 FROM inbox i JOIN ({owner}) ON b.client_id = i.client_id AND b.number = i.bucket
                     WHERE {of} AND r.id <> :me AND r.alive_until > clock_timestamp()"
                ),
                params! { ":id": id, ":me": self.me.id.as_str() },
            )
            .map(|rows| rows.is_empty())
        };
        if is_mine? { Ok(()) } else { Err(StoreError::NotMine) }
    }

    fn is_mine(&self) -> &'static str {
        if self.me.has_joined() {
            "EXISTS (
                 SELECT 1 FROM inbox i JOIN bucket b ON b.client_id = i.client_id AND b.number = i.bucket
                 JOIN replica r ON r.client_id = b.client_id AND r.id = b.replica
                 WHERE i.id = :inbox_id AND r.id = current_setting('ddingtalk.replica')
                 AND r.alive_until > clock_timestamp() FOR SHARE OF b)"
        } else {
            "NOT EXISTS (
                 SELECT 1 FROM inbox i JOIN bucket b ON b.client_id = i.client_id AND b.number = i.bucket
                 JOIN replica r ON r.client_id = b.client_id AND r.id = b.replica
                 WHERE i.id = :inbox_id AND r.id <> current_setting('ddingtalk.replica')
                 AND r.alive_until > clock_timestamp())"
        }
    }
}

impl Statements<'_> {
    /// The message that one repeats, if it does.
    fn kept_before(&self, message: &NewMessage) -> Done<Option<TakenIn>> {
        let rows = self.query(
            "SELECT id FROM inbox WHERE client_id = :client_id AND (
                 msg_id = :msg_id OR (:is_unnamed AND msg_id IS NULL AND message_id = :message_id))
             LIMIT 1",
            params! {
                ":client_id": message.client_id.as_str(),
                ":msg_id": message.msg_id.as_ref().map(MsgId::as_str),
                ":is_unnamed": message.msg_id.is_none(),
                ":message_id": message.message_id.as_ref().map(MessageId::as_str),
            },
        )?;
        let Some(row) = rows.first() else { return Ok(None) };
        let id = InboxId::of((row as &dyn Row).get(0)?);
        Ok(Some(TakenIn { id, place: Place::Repeat }))
    }
}

/// A value on its way to the server.
pub(super) enum Bound {
    Null,
    Int(i64),
    Text(String),
    Bool(bool),
}

impl Bound {
    fn of(value: &Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Int(number) => Self::Int(*number),
            // The server keeps no such letter.
            Value::Text(text) => Self::Text(text.replace('\0', "\u{fffd}")),
            Value::Bool(whether) => Self::Bool(*whether),
        }
    }
}

/// The driver shows what it sends in logs, and texts are nobody else's.
impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Bound {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) if *ty == Type::INT2 => i16::try_from(*number)?.to_sql(ty, out),
            Self::Int(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Int(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Bool(whether) => whether.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT2, Type::INT4, Type::INT8, Type::TEXT, Type::VARCHAR, Type::BOOL].contains(ty)
    }

    to_sql_checked!();
}

impl Row for tokio_postgres::Row {
    fn value(&self, column: usize) -> Done<Value<'_>> {
        let Some(ty) = self.columns().get(column).map(tokio_postgres::Column::type_) else {
            return Err(StoreError::Failed(format!("there is no column {column}")));
        };
        let value = match *ty {
            Type::INT2 => {
                self.try_get::<_, Option<i16>>(column).map(|n| n.map(|n| Value::Int(n.into())))
            }
            Type::INT4 => {
                self.try_get::<_, Option<i32>>(column).map(|n| n.map(|n| Value::Int(n.into())))
            }
            Type::INT8 => self.try_get::<_, Option<i64>>(column).map(|n| n.map(Value::Int)),
            Type::BOOL => self.try_get::<_, Option<bool>>(column).map(|b| b.map(Value::Bool)),
            _ => self
                .try_get::<_, Option<&str>>(column)
                .map(|text| text.map(|text| Value::Text(Cow::Borrowed(text)))),
        };
        let value = value.map_err(|e| StoreError::Failed(e.to_string()))?;
        Ok(value.unwrap_or(Value::Null))
    }
}
