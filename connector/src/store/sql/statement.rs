//! Statements with named parameters, and rows, whichever engine does them.

use std::borrow::Cow;

use super::super::{NewMessage, StoreError, TakenIn};
use crate::credential::ClientId;

/// What a statement comes to.
pub(in crate::store) type Done<T> = Result<T, StoreError>;

/// What stands for `:name` in a statement.
pub(in crate::store) type Params<'a> = &'a [(&'a str, &'a dyn ToValue)];

/// Names and values of a statement's parameters: `params! { ":id": id }`.
macro_rules! params {
    ($($name:literal: $value:expr),* $(,)?) => {
        &[$(($name, &$value as &dyn $crate::store::sql::ToValue)),*]
    };
}
pub(in crate::store) use params;

/// A database in the midst of a transaction.
pub(in crate::store) trait Db {
    /// Does a statement, and returns how many rows it changed.
    fn execute(&self, sql: &str, params: Params<'_>) -> Done<usize>;

    /// Does a statement of which nobody wants to know how many rows it changed. That it failed may show later, at
    /// the latest when the transaction is committed.
    fn later(&self, sql: &str, params: Params<'_>) -> Done<()> {
        self.execute(sql, params).map(drop)
    }

    /// Inserts one row, or none if the statement's condition does not hold, and returns its `id`.
    fn insert_if(&self, sql: &str, params: Params<'_>) -> Done<Option<i64>>;

    /// Reads rows until there is none, or no more are wanted.
    fn each(
        &self,
        sql: &str,
        params: Params<'_>,
        read: &mut dyn FnMut(&dyn Row) -> Done<Next>,
    ) -> Done<()>;

    /// How this engine says what is said differently everywhere.
    fn words(&self) -> &'static Words;

    /// Writes something that changes nothing.
    fn probe(&self) -> Done<()>;

    /// Keeps a message.
    fn take_in(&self, message: &NewMessage) -> Done<TakenIn>;

    /// Tells the other processes of an app, once this is durable.
    fn tell(&self, client_id: &ClientId, changed: Changed) -> Done<()>;

    /// Fails with [`StoreError::NotMine`] if a message is not this process's to answer, and keeps it so until the
    /// transaction ends.
    fn fence(&self, message: Fenced) -> Done<()>;

    /// The same as a condition within a statement, of the message `:inbox_id`.
    fn is_mine(&self) -> &'static str;
}

/// Whose conversation is asked about.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Fenced {
    /// That of a message, by its number.
    Message(i64),
    /// That of the message to which a part of an answer belongs, by the part's number.
    Part(i64),
}

/// What other processes want to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Changed {
    /// Who may talk to the robot.
    Pairing,
    /// What is to be done when.
    Schedules,
}

/// What engines say differently.
pub(in crate::store) struct Words {
    /// That column `id` equals parameter `:id`, whatever the case of their letters.
    pub(in crate::store) same_id_any_case: &'static str,
    /// That a row of `inbox` does not belong to another process that lives.
    pub(in crate::store) not_of_others: &'static str,
    /// Whether a message that is there already is not kept once more.
    pub(in crate::store) tells_repeats: bool,
}

/// Whether more rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Next {
    /// The next one.
    More,
    /// No more.
    Enough,
}

impl dyn Db + '_ {
    /// All rows.
    pub(in crate::store) fn all<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        mut read: impl FnMut(&dyn Row) -> Done<T>,
    ) -> Done<Vec<T>> {
        let mut rows = Vec::new();
        self.each(sql, params, &mut |row| {
            rows.push(read(row)?);
            Ok(Next::More)
        })?;
        Ok(rows)
    }

    /// The first row, if there is one.
    pub(in crate::store) fn first<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        mut read: impl FnMut(&dyn Row) -> Done<T>,
    ) -> Done<Option<T>> {
        let mut first = None;
        self.each(sql, params, &mut |row| {
            first = Some(read(row)?);
            Ok(Next::Enough)
        })?;
        Ok(first)
    }

    /// The row of a statement that always has one.
    pub(in crate::store) fn one<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        read: impl FnMut(&dyn Row) -> Done<T>,
    ) -> Done<T> {
        let none = || StoreError::Failed("a statement that has a row gave none".to_owned());
        self.first(sql, params, read)?.ok_or_else(none)
    }

    /// Inserts one row, and returns its `id`.
    pub(in crate::store) fn insert(&self, sql: &str, params: Params<'_>) -> Done<i64> {
        let none = || StoreError::Failed("nothing was inserted".to_owned());
        self.insert_if(sql, params)?.ok_or_else(none)
    }

    /// Whether there is a row.
    pub(in crate::store) fn exists(&self, sql: &str, params: Params<'_>) -> Done<bool> {
        Ok(self.first(sql, params, |_| Ok(()))?.is_some())
    }
}

/// A value of a parameter or a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Value<'a> {
    /// None.
    Null,
    /// A whole number.
    Int(i64),
    /// Text.
    Text(Cow<'a, str>),
    /// Whether; SQLite gives a number back.
    Bool(bool),
}

/// What can stand for a parameter.
pub(in crate::store) trait ToValue {
    /// The value.
    fn to_value(&self) -> Value<'_>;
}

impl ToValue for i64 {
    fn to_value(&self) -> Value<'_> {
        Value::Int(*self)
    }
}

impl ToValue for u32 {
    fn to_value(&self) -> Value<'_> {
        Value::Int(i64::from(*self))
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Bool(*self)
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

/// A row that was read.
pub(in crate::store) trait Row {
    /// The value of a column, counted from 0.
    fn value(&self, column: usize) -> Done<Value<'_>>;
}

impl dyn Row + '_ {
    /// A column as a type.
    pub(in crate::store) fn get<T: FromValue>(&self, column: usize) -> Done<T> {
        let value = self.value(column)?;
        T::from_value(value)
            .ok_or_else(|| StoreError::Failed(format!("column {column} holds something else")))
    }
}

/// What a column can be read as.
pub(in crate::store) trait FromValue: Sized {
    /// The value, if it is of that type.
    fn from_value(value: Value<'_>) -> Option<Self>;
}

impl FromValue for i64 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }
}

impl FromValue for u32 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        i64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Bool(whether) => Some(whether),
            Value::Int(number) => Some(number != 0),
            _ => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}
