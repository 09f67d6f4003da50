//! The coverage ledger: every endpoint and behaviour, how well it is modelled, and by which
//! source. `GET /_mock/coverage` and `docs/coverage.md` are written from it; tests hold it against
//! the router and against the tables of message types, quotes, profiles, faults and presets.

mod behaviours;
mod endpoints;
#[cfg(test)]
mod page;

use serde_json::{Value, json};

use self::{behaviours::Behaviour, endpoints::Endpoint};

/// How well something is modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// As the source says, in every point that it settles; nothing that matters is left open.
    Exact,
    /// The source leaves something open, which the mock settles; the note says what.
    Derived,
    /// Not there; the note says why.
    NotModelled,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Derived => "derived",
            Self::NotModelled => "not modelled",
        }
    }
}

/// The ledger as JSON: `{"endpoints":[…],"behaviours":[…]}`.
pub(crate) fn ledger() -> Value {
    let endpoints = endpoints::ENDPOINTS.iter().map(Endpoint::json);
    let behaviours = behaviours::all().iter().map(Behaviour::json).collect::<Vec<_>>();
    json!({ "endpoints": endpoints.collect::<Vec<_>>(), "behaviours": behaviours })
}

#[cfg(test)]
mod tests {
    use super::{
        Status, behaviours,
        endpoints::{ENDPOINTS, Need},
        page,
    };
    use crate::{
        control::FAULT_ACTIONS,
        core::{MsgType, PRESETS, Profile, QuoteForm, modelled_calls},
    };

    #[test]
    fn every_route_is_in_the_ledger_and_every_modelled_row_is_routed() {
        for (method, pattern) in modelled_calls() {
            let rows = ENDPOINTS.iter().filter(|row| row.is(method, pattern));
            let modelled = rows.filter(|row| row.status != Status::NotModelled).count();
            assert_eq!(modelled, 1, "{method} {pattern} has so many rows");
        }
        for row in ENDPOINTS {
            let routed = modelled_calls().any(|(method, pattern)| row.is(method, pattern));
            assert_eq!(routed, row.status != Status::NotModelled, "{} {}", row.method, row.path);
        }
    }

    #[test]
    fn what_must_be_there_is_there_and_what_is_missing_has_a_reason() {
        for row in ENDPOINTS {
            let (name, missing) = (row.path, row.status == Status::NotModelled);
            assert!(!(missing && row.need == Need::Must), "{name} is a must and not modelled");
            assert!(row.status == Status::Exact || !row.note.is_empty(), "{name} needs a reason");
            assert!(!row.source.is_empty(), "{name} needs a source");
        }
        for row in behaviours::all() {
            assert!(row.status == Status::Exact || !row.note.is_empty(), "{} needs one", row.name);
            assert!(!row.source.is_empty(), "{} needs a source", row.name);
        }
    }

    #[test]
    fn what_the_code_lists_is_in_the_ledger() {
        let rows = behaviours::all();
        let has = |area: &str, name: &str| {
            let found = rows.iter().any(|row| row.area == area && row.name == name);
            assert!(found, "{area} has no row `{name}`");
        };
        for (name, _) in MsgType::NAMES {
            has("message types", name);
        }
        for (name, _) in QuoteForm::NAMES {
            has("quotes", name);
        }
        for (name, _) in Profile::NAMES {
            has("delivery", name);
        }
        for known in PRESETS {
            has("presets", known.name);
        }
        for (name, _) in FAULT_ACTIONS {
            has("fault actions", name);
        }
    }

    /// `MOCK_DINGTALK_WRITE_DOCS=1 cargo test -p mock-dingtalk --lib coverage` writes the page.
    #[test]
    fn the_page_is_the_ledger() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/coverage.md");
        if std::env::var_os("MOCK_DINGTALK_WRITE_DOCS").is_some() {
            std::fs::write(path, page::markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page::markdown(), "docs/coverage.md is stale: see this test's comment");
    }
}
