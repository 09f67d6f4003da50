//! What came of it.

use axum::routing::delete;

use super::{Call, Content, Parameter, get};
use crate::control::{api_state, findings, rows};

const AFTER: Parameter = Parameter::number("after", u64::MAX, "only rows after this `seq`");
const COUNT: Parameter =
    Parameter::number("count", u64::MAX, "how many to wait for; 1 if not given");
const WAIT: Parameter =
    Parameter::number("wait_ms", rows::MAX_WAIT_MS, "milliseconds to wait for `count` rows");
const SEVERITY: Parameter =
    Parameter::words("severity", &["remark", "warning", "error"], "so bad at least");

pub(super) static CALLS: &[Call] = &[
    Call::get(
        "/_mock/apps/{clientId}/sent",
        "listSent",
        "what the robot said, by whichever API; finished rows count for the wait",
        || get(rows::sent),
    )
    .query(&[AFTER, COUNT, WAIT])
    .twins(&["App::sent", "App::wait_sent", "App::wait_sent_within"])
    .verb("sent"),
    Call::get(
        "/_mock/apps/{clientId}/deliveries",
        "listDeliveries",
        "each push to the bot; acknowledged ones count for the wait",
        || get(rows::deliveries),
    )
    .query(&[AFTER, COUNT, WAIT])
    .twins(&["App::deliveries", "App::wait_acked", "App::wait_acked_within"])
    .verb("deliveries"),
    Call::get(
        "/_mock/apps/{clientId}/connections",
        "listConnections",
        "each connection; open ones count for the wait",
        || get(rows::connections),
    )
    .query(&[COUNT, WAIT])
    .twins(&[
        "App::connections",
        "App::wait_connections",
        "App::wait_connections_within",
        "App::wait_for_connections",
    ])
    .verb("connections"),
    Call::get(
        "/_mock/apps/{clientId}/reactions",
        "listReactions",
        "the robot's reactions that stand",
        || get(api_state::reactions),
    )
    .answers(200, Content::Json)
    .twins(&["App::reactions"])
    .verb("reactions"),
    Call::get(
        "/_mock/apps/{clientId}/findings",
        "listFindings",
        "what the bot does that will not do with DingTalk",
        || get(findings::list),
    )
    .query(&[AFTER, SEVERITY, COUNT, WAIT])
    .twins(&["App::findings", "App::expect_no_findings"])
    .verb("findings"),
    Call::delete(
        "/_mock/apps/{clientId}/findings",
        "clearFindings",
        "forgets what was found, and says how much it was",
        || delete(findings::clear),
    )
    .answers(200, Content::Of("Removed"))
    .twins(&["App::clear_findings"])
    .verb("findings --clear"),
    Call::get("/_mock/findings", "listFindingsOfNobody", "findings that belong to no app", || {
        get(findings::list_of_nobody)
    })
    .query(&[AFTER, SEVERITY])
    .twins(&["MockDingtalk::findings"])
    .verb("findings --without-app"),
    Call::delete(
        "/_mock/findings",
        "clearFindingsOfNobody",
        "forgets what was found and belongs to no app",
        || delete(findings::clear_of_nobody),
    )
    .answers(200, Content::Of("Removed"))
    .twins(&["MockDingtalk::clear_findings"])
    .verb("findings --without-app --clear"),
    Call::get("/_mock/findings/rules", "listFindingRules", "what findings look for", || {
        get(findings::rules)
    })
    .twins(&["MockDingtalk::finding_rules"])
    .verb("findings --rules"),
];
