//! The ledger of endpoints: what is modelled, how true it is, and what is left out.

use serde::Serialize;

use super::{not_modelled::NOT_MODELLED, routes::ROUTES};

/// One endpoint of DingTalk, as the mock sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EndpointRow {
    /// HTTP method; `*` is any.
    pub method: &'static str,
    /// Path; `{}` is any one segment, and `*` at the end everything below.
    pub pattern: &'static str,
    /// DingTalk's host that serves it. The mock answers on each alike.
    pub host: &'static str,
    /// `exact`: every answer has a source; `derived`: some are inferred or chosen; `not modelled`:
    /// DingTalk's 404, on purpose.
    pub status: &'static str,
    /// Where its shape comes from.
    pub source: &'static str,
    /// What is inferred, chosen, or why it is left out; empty if there is nothing to say.
    pub note: &'static str,
}

/// Every endpoint that is modelled, then every one that is left out on purpose.
pub(crate) fn endpoints() -> Vec<EndpointRow> {
    let modelled = ROUTES.iter().map(|route| EndpointRow {
        method: route.method,
        pattern: route.pattern,
        host: route.host.name(),
        status: route.status.name(),
        source: route.source,
        note: route.note,
    });
    let left_out = NOT_MODELLED.iter().map(|entry| EndpointRow {
        method: entry.method,
        pattern: entry.pattern,
        host: entry.host.name(),
        status: "not modelled",
        source: entry.source,
        note: entry.reason,
    });
    modelled.chain(left_out).collect()
}
