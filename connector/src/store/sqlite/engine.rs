//! How statements are done in an SQLite file.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, ToSql, TransactionBehavior};

use super::super::replicas::{Place, TakenIn};
use super::super::sql::{
    Changed, Db, Done, Engine, Failure, Fenced, Next, Params, Row, Settled, Value, Words, keep,
    prune,
};
use super::super::{InboxId, NewMessage, StoreError};
use crate::credential::ClientId;

/// The connection that writes.
pub(in crate::store) struct File(pub(in crate::store) Connection);

/// Pages given back to the file system at a time.
const FREED_PAGES: u32 = 2_000;

impl Engine for File {
    fn transaction(&mut self, work: &mut dyn FnMut(&dyn Db) -> Done<()>) -> Result<(), Failure> {
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| Failure::Transaction(explain(&e)))?;
        work(&Statements { db: &transaction, explain: &explain }).map_err(Failure::Job)?;
        transaction.commit().map_err(|e| Failure::Transaction(explain(&e)))
    }

    /// A commit of a file has failed or has not.
    fn settle(&mut self) -> Settled {
        Settled::Lost
    }

    fn prune(&mut self, now: i64) -> Done<bool> {
        let mut more = false;
        let pruned = self.transaction(&mut |db| {
            more = prune(db, now)?;
            Ok(())
        });
        match pruned {
            Ok(()) => {}
            Err(Failure::Job(e) | Failure::Transaction(e)) => return Err(e),
            Err(Failure::Unknown) => return Err(StoreError::Closed),
        }
        // What was removed leaves free pages; some of them are given back each time.
        let vacuum = format!("PRAGMA incremental_vacuum({FREED_PAGES})");
        self.0.execute_batch(&vacuum).map_err(|e| explain(&e))?;
        Ok(more)
    }
}

/// What went wrong with the file.
pub(super) fn explain(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => StoreError::Failed(error.to_string()),
    }
}

/// Statements in a connection; those that are done again are kept prepared.
pub(super) struct Statements<'a> {
    pub(super) db: &'a Connection,
    pub(super) explain: &'a dyn Fn(&rusqlite::Error) -> StoreError,
}

static WORDS: Words = Words {
    same_id_any_case: "id = :id COLLATE NOCASE",
    not_of_others: "TRUE",
    tells_repeats: false,
};

impl Statements<'_> {
    fn prepared(&self, sql: &str, params: Params<'_>) -> rusqlite::Result<CachedStatement<'_>> {
        let mut statement = self.db.prepare_cached(sql)?;
        for (name, value) in params {
            let index = statement
                .parameter_index(name)?
                .ok_or_else(|| rusqlite::Error::InvalidParameterName((*name).to_owned()))?;
            statement.raw_bind_parameter(index, value.to_value())?;
        }
        Ok(statement)
    }

    fn explained<T>(&self, outcome: rusqlite::Result<T>) -> Done<T> {
        outcome.map_err(|e| (self.explain)(&e))
    }
}

impl Db for Statements<'_> {
    fn execute(&self, sql: &str, params: Params<'_>) -> Done<usize> {
        self.explained(self.prepared(sql, params).and_then(|mut s| s.raw_execute()))
    }

    fn insert_if(&self, sql: &str, params: Params<'_>) -> Done<Option<i64>> {
        let inserted = self.execute(sql, params)?;
        Ok((inserted > 0).then(|| self.db.last_insert_rowid()))
    }

    fn each(
        &self,
        sql: &str,
        params: Params<'_>,
        read: &mut dyn FnMut(&dyn Row) -> Done<Next>,
    ) -> Done<()> {
        let mut statement = self.explained(self.prepared(sql, params))?;
        let mut rows = statement.raw_query();
        while let Some(row) = self.explained(rows.next())? {
            if read(row)? == Next::Enough {
                break;
            }
        }
        Ok(())
    }

    fn words(&self) -> &'static Words {
        &WORDS
    }

    /// Writes the schema's version once more, which changes a page of the file and nothing else.
    fn probe(&self) -> Done<()> {
        let written = self
            .db
            .query_row("PRAGMA user_version", (), |row| row.get::<_, i64>(0))
            .and_then(|version| self.db.pragma_update(None, "user_version", version));
        self.explained(written)
    }

    fn take_in(&self, message: &NewMessage) -> Done<TakenIn> {
        Ok(TakenIn { id: InboxId::of(keep(self, message)?), place: Place::Here })
    }

    fn tell(&self, _: &ClientId, _: Changed) -> Done<()> {
        Ok(())
    }

    fn fence(&self, _: Fenced) -> Done<()> {
        Ok(())
    }

    fn is_mine(&self) -> &'static str {
        "TRUE"
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bool(whether) => ValueRef::Integer(i64::from(*whether)),
        }))
    }
}

impl Row for rusqlite::Row<'_> {
    fn value(&self, column: usize) -> Done<Value<'_>> {
        let value = self.get_ref(column).map_err(|e| explain(&e))?;
        match value {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(number) => Ok(Value::Int(number)),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text);
                text.map(|text| Value::Text(text.into()))
                    .map_err(|e| StoreError::Failed(format!("column {column} is no text: {e}")))
            }
            ValueRef::Real(_) | ValueRef::Blob(_) => {
                Err(StoreError::Failed(format!("column {column} has a type that no column has")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::store::sql::{KEEP_MS, PRUNE_ROWS, SESSION_KEEP_MS, YOUNG};

    fn empty() -> File {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut db, 0).unwrap();
        File(db)
    }

    #[test]
    fn old_rows_go_some_at_a_time_and_it_says_whether_there_are_more() {
        let mut file = empty();
        let now = 2 * KEEP_MS;
        let insert = |db: &Connection, received_at: i64, finished_at: Option<i64>, count: i64| {
            for _ in 0..count {
                db.execute(
                    "INSERT INTO inbox (client_id, conversation_id, received_at, finished_at, data)
                     VALUES ('app', 'cid', ?1, ?2, '')",
                    (received_at, finished_at),
                )
                .unwrap();
            }
        };
        insert(&file.0, 1, None, 1);
        insert(&file.0, 2, Some(2), PRUNE_ROWS + 1);
        insert(&file.0, now, Some(now), 1);
        assert!(file.prune(now).unwrap());
        assert!(!file.prune(now).unwrap());
        let left: i64 =
            file.0.query_row("SELECT count(*) FROM inbox", (), |row| row.get(0)).unwrap();
        assert_eq!(left, 2, "the unfinished one and the young one");
    }

    #[test]
    fn a_round_reads_no_more_however_many_rows_are_old() {
        let steps = |rounds: i64| {
            let mut file = empty();
            let insert =
                "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
                 INSERT INTO inbox (client_id, conversation_id, received_at, finished_at, data)
                 SELECT 'app', 'cid', n, n, '' FROM n";
            file.0.execute(insert, [rounds * PRUNE_ROWS]).unwrap();
            assert!(file.prune(10 * KEEP_MS).unwrap());
            file.0.prepare_cached(YOUNG).unwrap().get_status(StatementStatus::VmStep)
        };
        let few = steps(2);
        assert!(few > 0);
        assert_eq!(steps(20), few);
    }

    #[test]
    fn an_id_is_never_given_twice() {
        let mut file = empty();
        let insert = |db: &Connection| -> i64 {
            db.query_row(
                "INSERT INTO inbox (client_id, conversation_id, received_at, finished_at, data)
                 VALUES ('app', 'cid', 1, 1, '') RETURNING id",
                (),
                |row| row.get(0),
            )
            .unwrap()
        };
        insert(&file.0);
        let last = insert(&file.0);
        // Nobody wrote for long, and the program was started again.
        assert!(!file.prune(10 * KEEP_MS).unwrap());
        let left: i64 =
            file.0.query_row("SELECT count(*) FROM inbox", (), |row| row.get(0)).unwrap();
        assert_eq!(left, 1);
        let next = insert(&file.0);
        assert!(next > last, "{next}");
    }

    #[test]
    fn a_session_ends_when_nothing_is_added_to_it_for_long() {
        let mut file = empty();
        let now = 2 * SESSION_KEEP_MS;
        file.0
            .execute_batch(&format!(
                "INSERT INTO session (id, client_id, name, touched_at)
             VALUES (1, 'app', 'old', {}), (2, 'app', 'young', {});
             INSERT INTO exchange VALUES (1, 1, 'q', 'a'), (2, 2, 'q', 'a');",
                now - SESSION_KEEP_MS - 1,
                now - SESSION_KEEP_MS,
            ))
            .unwrap();
        file.prune(now).unwrap();
        for table in [
            "SELECT group_concat(id) FROM session",
            "SELECT group_concat(session_id) FROM exchange",
        ] {
            let left: String = file.0.query_row(table, (), |row| row.get(0)).unwrap();
            assert_eq!(left, "2", "{table}");
        }
    }
}
