//! Every control call, once: the router is made of it, `/_mock/openapi.json` is written from it,
//! and tests hold the library and the command line against it.
//!
//! A new call is one entry in the file of its area: `Call::get("/_mock/…", "operationId",
//! "what it does", || get(handler))`, then `.query(…)`, `.body(…)`, `.answers(…)`, `.twins(…)`
//! and `.verb(…)` as they apply, or the reason why there is none. The schema of a body stands in `schema`.

mod breaking;
mod instance;
mod people;
mod results;
pub(super) mod schema;
mod snapshots;
mod strict;

use std::sync::Arc;

use axum::{
    middleware,
    routing::{MethodRouter, get},
};
use serde_json::Value;

use crate::hub::Hub;

/// One control call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(super) method: &'static str,
    /// `{name}` stands for one segment.
    pub(super) path: &'static str,
    /// `operationId` of the description.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) body: Body,
    /// Status and content of the answer when all is well.
    pub(super) answer: (u16, Content),
    pub(super) twin: Twin,
    /// The command that makes this call.
    pub(super) verb: Verb,
    /// Nobody needs a token for it, and pages of any origin may call.
    pub(super) open: bool,
    handler: fn() -> MethodRouter<Arc<Hub>>,
}

/// A query parameter. Those that are not listed are refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) required: bool,
    pub(super) about: &'static str,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    Text,
    /// A whole number from 0 up to this.
    Number(u64),
    /// One of these words.
    Words(&'static [&'static str]),
}

/// What is sent along.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    Nothing,
    /// JSON of this schema, with examples that the server takes.
    Json(fn() -> Value, &'static [&'static str]),
    Bytes,
}

/// What an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Nothing,
    Json,
    /// JSON of this schema.
    Of(&'static str),
    Other(&'static str),
}

/// What does the same in the library.
#[derive(Debug, Clone, Copy)]
pub(super) enum Twin {
    Methods(&'static [&'static str]),
    /// There is none, and why.
    None(&'static str),
}

/// What does the same on the command line.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    /// The words, and the options that make it this call.
    Words(&'static str),
    /// There is none, and why.
    None(&'static str),
}

impl Call {
    const fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        handler: fn() -> MethodRouter<Arc<Hub>>,
    ) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            query: &[],
            body: Body::Nothing,
            answer: (200, Content::Json),
            twin: Twin::Methods(&[]),
            verb: Verb::None(""),
            open: false,
            handler,
        }
    }

    const fn get(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        handler: fn() -> MethodRouter<Arc<Hub>>,
    ) -> Self {
        Self::new("GET", path, id, summary, handler)
    }

    const fn post(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        handler: fn() -> MethodRouter<Arc<Hub>>,
    ) -> Self {
        Self::new("POST", path, id, summary, handler)
    }

    /// Answered with 204.
    const fn delete(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        handler: fn() -> MethodRouter<Arc<Hub>>,
    ) -> Self {
        Self::new("DELETE", path, id, summary, handler).answers(204, Content::Nothing)
    }

    const fn query(mut self, query: &'static [Parameter]) -> Self {
        self.query = query;
        self
    }

    const fn body(mut self, schema: fn() -> Value, examples: &'static [&'static str]) -> Self {
        self.body = Body::Json(schema, examples);
        self
    }

    const fn bytes(mut self) -> Self {
        self.body = Body::Bytes;
        self
    }

    const fn answers(mut self, status: u16, content: Content) -> Self {
        self.answer = (status, content);
        self
    }

    const fn twins(mut self, methods: &'static [&'static str]) -> Self {
        self.twin = Twin::Methods(methods);
        self
    }

    const fn no_twin(mut self, why: &'static str) -> Self {
        self.twin = Twin::None(why);
        self
    }

    const fn verb(mut self, verb: &'static str) -> Self {
        self.verb = Verb::Words(verb);
        self
    }

    const fn no_verb(mut self, why: &'static str) -> Self {
        self.verb = Verb::None(why);
        self
    }

    const fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// The handler behind the checks that every call shares.
    pub(super) fn route(&'static self) -> MethodRouter<Arc<Hub>> {
        (self.handler)().route_layer(middleware::from_fn(move |request, next| {
            strict::check(self, request, next)
        }))
    }
}

impl Parameter {
    const fn text(name: &'static str, about: &'static str) -> Self {
        Self { name, takes: Takes::Text, required: false, about }
    }

    const fn number(name: &'static str, most: u64, about: &'static str) -> Self {
        Self { name, takes: Takes::Number(most), required: false, about }
    }

    const fn words(
        name: &'static str,
        words: &'static [&'static str],
        about: &'static str,
    ) -> Self {
        Self { name, takes: Takes::Words(words), required: false, about }
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// All calls, area by area.
pub(super) fn calls() -> impl Iterator<Item = &'static Call> {
    let areas = [instance::CALLS, people::CALLS, results::CALLS, breaking::CALLS, snapshots::CALLS];
    areas.into_iter().flatten()
}

#[cfg(test)]
mod tests;
