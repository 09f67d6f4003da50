//! The ledger of endpoints: what is modelled, how true it is, and what is left out.

use super::{not_modelled::NOT_MODELLED, routes::ROUTES};
use crate::core::permission::Permission;

/// How true something is to DingTalk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fidelity {
    /// As the source says, in every point that it settles; nothing that matters is left open.
    Exact,
    /// The source leaves something open, which the mock settles; the note says what.
    Derived,
    /// Not there; the note says why.
    NotModelled,
}

impl Fidelity {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Derived => "derived",
            Self::NotModelled => "not modelled",
        }
    }
}

/// One endpoint of DingTalk, as the mock sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndpointRow {
    /// HTTP method; `*` is any.
    pub(crate) method: &'static str,
    /// Path; `{}` is any one segment, and `*` at the end everything below.
    pub(crate) pattern: &'static str,
    /// DingTalk's host that serves it. The mock answers on each alike.
    pub(crate) host: &'static str,
    /// What an app has to be permitted, if anything.
    pub(crate) permission: Option<&'static str>,
    pub(crate) fidelity: Fidelity,
    /// Where its shape comes from.
    pub(crate) source: &'static str,
    /// What is inferred, chosen, or why it is left out; empty if there is nothing to say.
    pub(crate) note: &'static str,
}

/// Every endpoint that is modelled, then every one that is left out on purpose.
pub(crate) fn endpoints() -> impl Iterator<Item = EndpointRow> {
    let modelled = ROUTES.iter().map(|route| EndpointRow {
        method: route.method,
        pattern: route.pattern,
        host: route.host.name(),
        permission: route.needs.map(Permission::name),
        fidelity: route.fidelity,
        source: route.source,
        note: route.note,
    });
    let left_out = NOT_MODELLED.iter().map(|entry| EndpointRow {
        method: entry.method,
        pattern: entry.pattern,
        host: entry.host.name(),
        permission: None,
        fidelity: Fidelity::NotModelled,
        source: entry.source,
        note: entry.reason,
    });
    modelled.chain(left_out)
}
