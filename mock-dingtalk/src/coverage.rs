//! The coverage ledger: every endpoint and behaviour, how well it is modelled, and by which
//! source. `GET /_mock/coverage` and `docs/coverage.md` are written from it. Endpoints are those of
//! the table that calls are routed by; tests hold behaviours against the tables of message types,
//! quotes, profiles, faults, presets and findings.

mod behaviours;
mod need;
#[cfg(test)]
mod page;

use serde_json::{Value, json};

use self::{behaviours::Behaviour, need::Need};
use crate::core::{EndpointRow, endpoints};

/// The ledger as JSON: `{"endpoints":[…],"behaviours":[…]}`.
pub(crate) fn ledger() -> Value {
    let endpoints = endpoints().map(|row| endpoint(&row)).collect::<Vec<_>>();
    let behaviours = behaviours::all().iter().map(Behaviour::json).collect::<Vec<_>>();
    json!({ "endpoints": endpoints, "behaviours": behaviours })
}

fn endpoint(row: &EndpointRow) -> Value {
    json!({
        "need": Need::of(row).letter(),
        "method": row.method,
        "path": row.pattern,
        "host": row.host,
        "permission": row.permission,
        "status": row.fidelity.name(),
        "source": row.source,
        "note": row.note,
    })
}

#[cfg(test)]
mod tests {
    use super::{
        behaviours,
        need::{CALLS, Need},
        page,
    };
    use crate::{
        control::FAULT_ACTIONS,
        core::{Fidelity, MsgType, PRESETS, Profile, QuoteForm, RULES, endpoints},
    };

    #[test]
    fn every_call_that_bots_make_is_in_the_ledger_and_what_they_must_have_is_there() {
        for call in CALLS {
            let rows: Vec<_> = endpoints().filter(|row| call.is_of(row)).collect();
            let [row] = rows.as_slice() else {
                panic!("{} {} has the rows {rows:?}", call.method, call.path)
            };
            let missing = row.fidelity == Fidelity::NotModelled;
            assert!(!(missing && call.need == Need::Must), "{} is missing", call.path);
        }
    }

    #[test]
    fn what_is_not_exact_says_why() {
        for row in endpoints() {
            let missing = row.fidelity == Fidelity::NotModelled;
            assert!(!(missing && Need::of(&row) == Need::Must), "{} is missing", row.pattern);
            assert!(
                row.fidelity == Fidelity::Exact || !row.note.is_empty(),
                "{} needs a reason",
                row.pattern
            );
            assert!(!row.source.is_empty(), "{} needs a source", row.pattern);
        }
        for row in behaviours::all() {
            assert!(row.fidelity == Fidelity::Exact || !row.note.is_empty(), "{row:?}");
            assert!(!row.source.is_empty(), "{row:?}");
        }
    }

    /// What answers calls is needed by somebody.
    #[test]
    fn nothing_is_modelled_that_nobody_calls() {
        for row in endpoints().filter(|row| row.fidelity != Fidelity::NotModelled) {
            assert!(Need::of(&row) > Need::Nobody, "{} {}", row.method, row.pattern);
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
        for rule in RULES {
            has("findings", rule.slug);
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
