//! A store in an SQL database: the statements, one body for every engine, and the thread that does them.
//!
//! An engine says how a transaction is made, and how a statement is done in it. Statements are written so that
//! SQLite and PostgreSQL both understand them.

mod calls;
mod cards;
mod heard;
mod inbox;
mod pairing;
mod peers;
mod pushes;
mod queries;
mod schedules;
mod sent_messages;
mod sessions;
mod statement;
mod store;
mod writer;

pub(super) use self::inbox::Reading;
#[cfg(test)]
pub(super) use self::queries::{KEEP_MS, PRUNE_ROWS, YOUNG};
pub(super) use self::queries::{count_cut_off, keep, not_begun, prune, unfinished};
#[cfg(test)]
pub(super) use self::sessions::KEEP_MS as SESSION_KEEP_MS;
pub(super) use self::statement::{
    Changed, Db, Done, Fenced, Next, Params, Row, ToValue, Value, Words, params,
};
pub(super) use self::store::{Dialect, SqlStore};
pub(super) use self::writer::{Engine, Failure, Settled};
