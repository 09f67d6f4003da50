//! Limits, faults, and acts on live connections.

use axum::routing::{delete, post};

use super::{Call, Content, get, schema};
use crate::control::{api_state, breaking, cards, messages, permissions, tcp_faults};

const CUTS: &[&str] = &[
    r#"{"type":"rst"}"#,
    r#"{"type":"fin"}"#,
    r#"{"type":"blackhole","direction":"toBot"}"#,
    r#"{"type":"close","code":1001,"reason":"going away"}"#,
];

pub(super) static CALLS: &[Call] = &[
    Call::get(
        "/_mock/apps/{clientId}/limits",
        "showLimits",
        "how often the app may call, and how much of it is used",
        || get(api_state::limits),
    )
    .twins(&["App::limits", "App::calls_this_month", "App::messages_this_month"])
    .verb("limits show"),
    Call::post(
        "/_mock/apps/{clientId}/limits",
        "setLimits",
        "changes how often the app may call",
        || post(api_state::set_limits),
    )
    .body(schema::limits, &[r#"{"perSecond":5,"perMonth":"none"}"#])
    .twins(&["App::set_limits"])
    .verb("limits set"),
    Call::get(
        "/_mock/apps/{clientId}/permissions",
        "showPermissions",
        "which permissions the app has, and which it lacks",
        || get(permissions::show),
    )
    .answers(200, Content::Of("Permissions"))
    .twins(&["App::permissions"])
    .verb("permissions show"),
    Call::post(
        "/_mock/apps/{clientId}/permissions",
        "changePermissions",
        "grants and revokes permissions; a call that lacks one is refused",
        || post(permissions::change),
    )
    .body(
        schema::change_permissions,
        &[r#"{"revoke":["Card.Streaming.Write"]}"#, r#"{"grant":["qyapi_robot_sendmsg"]}"#],
    )
    .answers(200, Content::Of("Permissions"))
    .twins(&["App::grant", "App::revoke"])
    .verb("permissions grant"),
    Call::delete(
        "/_mock/apps/{clientId}/token",
        "revokeToken",
        "ends the access token before its time: it is refused, and the next fetch gives another",
        || delete(permissions::revoke_token),
    )
    .twins(&["App::revoke_token"])
    .verb("token revoke"),
    Call::get(
        "/_mock/apps/{clientId}/strictness",
        "showStrictness",
        "whether what only the mock's own strictness refuses is taken",
        || get(cards::strictness),
    )
    .answers(200, Content::Of("Strictness"))
    .twins(&["App::is_lenient"])
    .verb("strictness show"),
    Call::post(
        "/_mock/apps/{clientId}/strictness",
        "setStrictness",
        "changes how strictly the app's calls are read",
        || post(cards::set_strictness),
    )
    .body(|| schema::reference("Strictness"), &[r#"{"lenient":true}"#])
    .answers(200, Content::Of("Strictness"))
    .twins(&["App::set_lenient"])
    .verb("strictness lenient"),
    Call::post(
        "/_mock/apps/{clientId}/connections/{id}/disconnect",
        "disconnect",
        "SYSTEM `disconnect` now, a reset of TCP 10 s later; `{id}` may be `all`",
        || post(breaking::disconnect),
    )
    .body(schema::disconnect, &["{}", r#"{"reason":"bye","messageId":false,"closes":false}"#])
    .twins(&["App::disconnect", "App::disconnect_with"])
    .verb("disconnect"),
    Call::post(
        "/_mock/apps/{clientId}/connections/{id}/cut",
        "cut",
        "ends a connection without notice; `{id}` may be `all`",
        || post(breaking::cut),
    )
    .body(|| schema::reference("Cut"), CUTS)
    .twins(&["App::cut"])
    .verb("cut"),
    Call::post(
        "/_mock/apps/{clientId}/connections/{id}/frames",
        "pushRawTo",
        "a text message to this connection, as it stands; `{id}` may be `all`",
        || post(messages::push_raw_to),
    )
    .body(schema::raw, &[])
    .answers(202, Content::Of("Said"))
    .twins(&["App::push_raw_to"])
    .verb("frame --connection"),
    Call::post(
        "/_mock/apps/{clientId}/frames",
        "pushRaw",
        "a text message to one of the open connections, as it stands",
        || post(messages::push_raw),
    )
    .body(schema::raw, &[r#"{"raw":"{}"}"#])
    .answers(202, Content::Of("Said"))
    .twins(&["App::push_raw"])
    .verb("frame"),
    Call::get("/_mock/presets", "listPresets", "the named faults", || get(breaking::presets))
        .twins(&["MockDingtalk::presets"])
        .verb("fault presets"),
    Call::get(
        "/_mock/apps/{clientId}/faults",
        "listFaults",
        "the fault rules, with how often each acted",
        || get(breaking::faults),
    )
    .twins(&["App::faults"])
    .verb("fault list"),
    Call::post("/_mock/apps/{clientId}/faults", "addFault", "makes something break", || {
        post(breaking::add_fault)
    })
    .body(
        schema::fault,
        &[
            r#"{"preset":"open-503"}"#,
            r#"{"when":"open","times":2,"action":{"type":"status","status":503,"body":"html"}}"#,
            r#"{"when":{"frame":{"type":"CALLBACK"}},"times":{"nth":3},"action":{"type":"lose"}}"#,
            r#"{"when":{"path":"/v1.0/card/*","method":"PUT"},"times":"always","action":{"type":"delay","for":"2s"}}"#,
            r#"{"when":{"path":"/gettoken"},"action":{"type":"dribble","bytes":10,"every":"1s"}}"#,
            r#"{"when":{"path":"/gettoken"},"action":{"type":"slowBody","for":"30s"}}"#,
            r#"{"when":"connected","times":{"until":"acked"},"action":{"type":"noPong"}}"#,
            r#"{"when":{"frame":{}},"action":{"type":"fragment","pieces":3}}"#,
            r#"{"when":{"frame":{}},"action":{"type":"badFrame","how":"utf8"}}"#,
        ],
    )
    .answers(201, Content::Json)
    .twins(&["App::fault", "App::preset"])
    .verb("fault add"),
    Call::delete("/_mock/apps/{clientId}/faults", "clearFaults", "removes all fault rules", || {
        delete(breaking::clear_faults)
    })
    .twins(&["App::clear_faults"])
    .verb("fault clear"),
    Call::delete(
        "/_mock/apps/{clientId}/faults/{id}",
        "removeFault",
        "removes one fault rule",
        || delete(breaking::remove_fault),
    )
    .twins(&["App::remove_fault"])
    .verb("fault clear --id"),
    Call::get(
        "/_mock/tcp-faults",
        "listTcpFaults",
        "the fault rules of TCP and TLS, with how often each acted",
        || get(tcp_faults::list),
    )
    .twins(&["MockDingtalk::tcp_faults"])
    .verb("fault list --tcp"),
    Call::post(
        "/_mock/tcp-faults",
        "addTcpFault",
        "breaks TCP or TLS for whoever comes, the control API included",
        || post(tcp_faults::add),
    )
    .body(
        schema::tcp_fault,
        &[
            r#"{"when":"tlsHandshake","times":3,"action":{"type":"alert"}}"#,
            r#"{"when":"accept","times":{"nth":10000},"action":{"type":"drop","how":{"type":"fin"}}}"#,
        ],
    )
    .answers(201, Content::Json)
    .twins(&["MockDingtalk::tcp_fault"])
    .verb("fault add --tcp"),
    Call::delete(
        "/_mock/tcp-faults",
        "clearTcpFaults",
        "removes all fault rules of TCP and TLS",
        || delete(tcp_faults::clear),
    )
    .twins(&["MockDingtalk::clear_tcp_faults"])
    .verb("fault clear --tcp"),
    Call::delete(
        "/_mock/tcp-faults/{id}",
        "removeTcpFault",
        "removes one fault rule of TCP and TLS",
        || delete(tcp_faults::remove),
    )
    .twins(&["MockDingtalk::remove_tcp_fault"])
    .verb("fault clear --tcp --id"),
];
