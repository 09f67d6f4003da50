//! The rules of the bot lint, in one table. `docs/findings.md` has a section for each.

use serde::Serialize;

use super::Severity;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    AckLate,
    AckMissing,
    AckRepeated,
    AckUnknown,
    AckElsewhere,
    AnswerRepeated,
    TokenFetchedOften,
    WebhookNearExpiry,
    WebhookExpired,
    WebhookUnknown,
    OverQps,
    OverQuota,
    CardGuidReused,
    CardGuidNew,
    PathCase,
    HeaderMissing,
    SecretInUrl,
    ReconnectStorm,
    PingUnanswered,
    TicketReused,
    TicketExpired,
    TicketUnknown,
    UnknownField,
    StrayMessage,
    CallRefused,
    CallRemarked,
    ForeignHostAsked,
    ForeignHost,
    TurnedAway,
}

/// A rule as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FindingRule {
    #[serde(skip)]
    pub(crate) rule: Rule,
    /// Its name, and its heading in `docs/findings.md`.
    #[serde(rename = "rule")]
    pub slug: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What the bot does.
    pub what: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// The document that says so.
    pub see: &'static str,
}

impl Rule {
    pub(crate) fn row(self) -> &'static FindingRule {
        let row = RULES.iter().find(|row| row.rule == self);
        row.expect("every rule has its row, which a test checks")
    }
}

/// Every rule, in the order of the page.
pub(crate) static RULES: &[FindingRule] = &[
    FindingRule {
        rule: Rule::AckLate,
        slug: "ack-late",
        severity: Severity::Warning,
        what: "An EVENT is answered after more than 3 s, a card callback after more than 2 s, any \
             other callback after more than 60 s.",
        why: "An EVENT comes again after 3 s; a person who pressed a button sees an error after 2 \
             s. For robot messages no page has a deadline: 60 s is when the Node SDK expects, \
             and users saw, a second push.",
        see: "stream-protocol.md 6 and 12 (KB appendix-b, KB event-callback-card)",
    },
    FindingRule {
        rule: Rule::AckMissing,
        slug: "ack-missing",
        severity: Severity::Warning,
        what: "A frame is not answered at all within those times.",
        why: "EVENTs come again and are given up in the end; robot messages came again for some \
             users. Judged when the findings are read.",
        see: "stream-protocol.md 5 and 6 (developerpedia, stream/protocol)",
    },
    FindingRule {
        rule: Rule::AckRepeated,
        slug: "ack-repeated",
        severity: Severity::Warning,
        what: "A frame is answered more often than it was sent.",
        why: "One frame has one answer. A second one shows that two parts of the bot answer the \
             same frame.",
        see: "stream-protocol.md 5 (developerpedia, stream/protocol)",
    },
    FindingRule {
        rule: Rule::AckUnknown,
        slug: "ack-unknown",
        severity: Severity::Warning,
        what: "An answer names a `messageId` that no frame had, or that of a SYSTEM frame that was \
             answered already.",
        why: "It counts for nothing: the frame that was meant stays unanswered.",
        see: "stream-protocol.md 5 (developerpedia, stream/protocol)",
    },
    FindingRule {
        rule: Rule::AckElsewhere,
        slug: "ack-elsewhere",
        severity: Severity::Warning,
        what: "An answer comes on another connection than its frame.",
        why: "DingTalk matches answers to frames on the connection that brought the frame. This \
             happens to bots that answer on their current connection after a reconnect.",
        see: "stream-protocol.md 12 (the Python SDK after `disconnect`)",
    },
    FindingRule {
        rule: Rule::AnswerRepeated,
        slug: "answer-repeated",
        severity: Severity::Error,
        what: "The same body is sent twice to one `sessionWebhook`.",
        why: "People read the answer twice. Mostly it is a message that was pushed again and not \
             recognised by its `msgId`. Answers in several parts are no finding, as long as the \
             parts differ.",
        see: "stream-protocol.md 9.2 (reports of users)",
    },
    FindingRule {
        rule: Rule::TokenFetchedOften,
        slug: "token-fetched-often",
        severity: Severity::Warning,
        what: "The access token is fetched for the third time within 10 minutes while the one in \
             use has more than 5 minutes to live.",
        why: "A token is good for two hours; frequent calls may be throttled. Two fetches are let \
             pass, since a bot may have been started anew.",
        see: "openapi.md 1.1 (KB 0033)",
    },
    FindingRule {
        rule: Rule::WebhookNearExpiry,
        slug: "webhook-near-expiry",
        severity: Severity::Warning,
        what: "A `sessionWebhook` is used in the last 5 minutes of its life.",
        why: "A little slower, and the answer is lost. Another API has to take over before.",
        see: "openapi.md 3 (KB 0717)",
    },
    FindingRule {
        rule: Rule::WebhookExpired,
        slug: "webhook-expired",
        severity: Severity::Error,
        what: "A `sessionWebhook` is used after its end.",
        why: "`sessionWebhookExpiredTime` says when it ends; after that nothing arrives. The \
             preset that ends all sessions early leads here too, without the bot's fault.",
        see: "openapi.md 3 (KB 0717)",
    },
    FindingRule {
        rule: Rule::WebhookUnknown,
        slug: "webhook-unknown",
        severity: Severity::Error,
        what: "A reply goes to a session that was never opened.",
        why: "Nothing arrives. The URL was changed, cut, or kept from another app or an earlier \
             run.",
        see: "openapi.md 3 and 8 (KB 0699, KB 0717)",
    },
    FindingRule {
        rule: Rule::OverQps,
        slug: "over-qps",
        severity: Severity::Error,
        what: "One API is called more often in a second than the app may.",
        why: "The call is refused with `QpsLimitForAppkeyAndApi` or 90018.",
        see: "openapi.md 0.3 (KB 1431)",
    },
    FindingRule {
        rule: Rule::OverQuota,
        slug: "over-quota",
        severity: Severity::Error,
        what: "More calls in a month than the app's `limits` allow.",
        why: "All counted calls are refused until the month ends.",
        see: "openapi.md 0.4 (KB 1433)",
    },
    FindingRule {
        rule: Rule::CardGuidReused,
        slug: "card-guid-reused",
        severity: Severity::Error,
        what: "A `guid` of `card/streaming` comes back with another content.",
        why: "The call counts once for each guid: the second content never shows.",
        see: "openapi.md 6.6 (KB 0785)",
    },
    FindingRule {
        rule: Rule::CardGuidNew,
        slug: "card-guid-not-idempotent",
        severity: Severity::Remark,
        what: "The same content is streamed twice in a row under two `guid`s.",
        why: "A retry has to carry the `guid` of the first try, or it counts as a second call.",
        see: "openapi.md 6.6 (KB 0785)",
    },
    FindingRule {
        rule: Rule::PathCase,
        slug: "path-case",
        severity: Severity::Error,
        what: "A path differs from a known one in the case of letters only.",
        why: "DingTalk's paths mix `oTo` and `oto`, and most are taken in one spelling only.",
        see: "openapi.md 4.4 and 10 (KB 0723)",
    },
    FindingRule {
        rule: Rule::HeaderMissing,
        slug: "header-missing",
        severity: Severity::Error,
        what: "`x-acs-dingtalk-access-token`, the `access_token` of the old host, or \
             `Content-Type: application/json` is not there.",
        why: "The call is refused; a body under another `Content-Type` is read here, and may be \
             refused there.",
        see: "openapi.md 0.1, 0.2 and 3 (KB 0013, KB 0717)",
    },
    FindingRule {
        rule: Rule::SecretInUrl,
        slug: "secret-in-url",
        severity: Severity::Error,
        what: "The client secret is in a URL other than `/gettoken`'s, an access token in a URL of \
             the new host, or a ticket in one other than `/connect`'s.",
        why: "URLs are written into logs of proxies and servers.",
        see: "openapi.md 0.1 and 1 (KB 0033)",
    },
    FindingRule {
        rule: Rule::ReconnectStorm,
        slug: "reconnect-storm",
        severity: Severity::Error,
        what: "`connections/open` is called for the eleventh time within 10 s.",
        why: "DingTalk blocks addresses that call too often, and then the bot is deaf. Back off, \
             with some chance in it.",
        see: "stream-protocol.md 12 (the Node SDK: 11 opens in 10 s)",
    },
    FindingRule {
        rule: Rule::PingUnanswered,
        slug: "ping-unanswered",
        severity: Severity::Warning,
        what: "Three SYSTEM pings in a row on one connection are not answered.",
        why: "DingTalk takes a connection that answers no ping for dead.",
        see: "stream-protocol.md 4.3 (developerpedia, stream/protocol)",
    },
    FindingRule {
        rule: Rule::TicketReused,
        slug: "ticket-reused",
        severity: Severity::Error,
        what: "A ticket comes a second time.",
        why: "A ticket opens one connection. Every attempt needs its own `connections/open`.",
        see: "stream-protocol.md 2.3 and 3.2 (developerpedia, stream/protocol)",
    },
    FindingRule {
        rule: Rule::TicketExpired,
        slug: "ticket-expired",
        severity: Severity::Warning,
        what: "A ticket comes after its 90 s.",
        why: "The upgrade is refused.",
        see: "stream-protocol.md 2.3 (developerpedia, stream/protocol)",
    },
    FindingRule {
        rule: Rule::TicketUnknown,
        slug: "ticket-unknown",
        severity: Severity::Warning,
        what: "A ticket comes that was never handed out. Kept for the mock, not for an app.",
        why: "The upgrade is refused. Often the ticket was not percent-encoded, or is of an \
             earlier run.",
        see: "stream-protocol.md 3.1 and 3.2",
    },
    FindingRule {
        rule: Rule::UnknownField,
        slug: "unknown-field",
        severity: Severity::Remark,
        what: "A JSON body, or an object such as `at` in it, has a member that no page documents.",
        why: "DingTalk ignores it, and with it what was meant: mostly a name that is written a \
             little otherwise.",
        see: "openapi.md 1, 3, 4 and 6; stream-protocol.md 2",
    },
    FindingRule {
        rule: Rule::StrayMessage,
        slug: "stray-message",
        severity: Severity::Remark,
        what: "A WebSocket message answers nothing: it is binary, or has no `headers.messageId`.",
        why: "The gateway takes answers only, and ignores it.",
        see: "stream-protocol.md 5",
    },
    FindingRule {
        rule: Rule::CallRefused,
        slug: "call-refused",
        severity: Severity::Warning,
        what: "A call gets an error for a reason that no other finding has.",
        why: "The message says what was wrong; `x-mock-diagnosis` and the journal say the same.",
        see: "the page that the finding names",
    },
    FindingRule {
        rule: Rule::CallRemarked,
        slug: "call-remarked",
        severity: Severity::Remark,
        what: "A call is taken, and could be better.",
        why: "The message says how.",
        see: "the page that the finding names",
    },
    FindingRule {
        rule: Rule::ForeignHostAsked,
        slug: "foreign-host-asked",
        severity: Severity::Error,
        what: "A call goes to the host that is not DingTalk's to which a fault led it, by `redirect` or \
             `downloadUrl`.",
        why: "Whoever can forge a message or an answer has the bot ask addresses of its own network, \
             with what it knows.",
        see: "openapi.md 4.7 (OWASP, server-side request forgery)",
    },
    FindingRule {
        rule: Rule::ForeignHost,
        slug: "foreign-host",
        severity: Severity::Warning,
        what: "The proxy is asked for a host that is not DingTalk's, or TLS for such a name \
             arrives. Kept for the mock, not for an app.",
        why: "The bot talks to somebody else while `HTTPS_PROXY` points here. `NO_PROXY` or \
             `--passthrough` lets it.",
        see: "mock-dingtalk/README.md, Plugging a bot in",
    },
    FindingRule {
        rule: Rule::TurnedAway,
        slug: "turned-away",
        severity: Severity::Warning,
        what: "A connection or a proxy's request is turned away for another reason, such as \
             distrust of the mock's certificate. Kept for the mock, not for an app.",
        why: "What the bot wanted to say never arrived.",
        see: "mock-dingtalk/README.md, Plugging a bot in",
    },
];

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::RULES;

    #[test]
    fn every_rule_has_one_row_and_the_page_says_the_same() {
        let mut sections = String::new();
        for (index, row) in RULES.iter().enumerate() {
            assert_eq!(row.rule as usize, index, "the table is in the order of the enum");
            let _ = write!(
                sections,
                "\n## {}\n\n{} {}\n\n{}\nSource: {}.\n",
                row.slug,
                row.severity.badge(),
                row.what,
                row.why,
                row.see
            );
        }
        assert_eq!(RULES.len(), 29);
        let page = include_str!("../../../docs/findings.md");
        let start = page.find("\n## ").unwrap();
        assert_eq!(&page[start..], sections);
    }
}
