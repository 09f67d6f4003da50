//! What came of it.

use super::{Call, Content, Parameter, get};
use crate::control::{api_state, rows};

const AFTER: Parameter = Parameter::number("after", u64::MAX, "only rows after this `seq`");
const COUNT: Parameter =
    Parameter::number("count", u64::MAX, "how many to wait for; 1 if not given");
const WAIT: Parameter =
    Parameter::number("wait_ms", rows::MAX_WAIT_MS, "milliseconds to wait for `count` rows");

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
    .twins(&["App::reactions"]),
];
