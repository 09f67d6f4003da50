//! Calls about the mock as a whole, and about its apps.

use axum::routing::post;

use super::{Call, Content, Parameter, get, schema};
use crate::control::{apps, ca, clock, env, events, journal, messages, pages};

const APP: &str = "an app's clientId";
const SDKS: &[&str] = &["python", "node", "go", "java", "connector", "all"];
const FORMATS: &[&str] = &["shell", "dotenv", "json", "compose"];
const TURNS: &[&str] = &[
    r#"{"advance":"1s"}"#,
    r#"{"pause":true}"#,
    r#"{"pause":false}"#,
    r#"{"jump":"-1h"}"#,
    r#"{"scale":2.5}"#,
];

pub(super) static CALLS: &[Call] = &[
    Call::get("/_mock/live", "live", "200 when the process runs", || get(pages::up))
        .no_twin("a mock in the same process runs as long as it is there")
        .no_verb("`healthcheck` asks for more: that calls are taken")
        .open(),
    Call::get("/_mock/ready", "ready", "200 when calls are taken", || get(pages::up))
        .no_twin("`MockDingtalk::start` returns when it is ready")
        .verb("healthcheck")
        .open(),
    Call::get("/_mock/apps", "listApps", "lists the apps in the order of minting", || {
        get(apps::list)
    })
    .twins(&["MockDingtalk::apps"])
    .verb("apps list"),
    Call::post("/_mock/apps", "mintApp", "mints an app: a world of its own", || post(apps::mint))
        .body(
            schema::mint,
            &[
                "{}",
                r#"{"profile":"observed-60s","seed":1,"ghostFor":"60s","lenient":true}"#,
                r#"{"missingPermissions":["Card.Streaming.Write"]}"#,
            ],
        )
        .answers(201, Content::Of("App"))
        .twins(&["MockDingtalk::app", "MockDingtalk::app_with"])
        .verb("apps mint"),
    Call::get("/_mock/apps/{clientId}", "showApp", "an app with its people and chats", || {
        get(apps::show)
    })
    .answers(200, Content::Of("App"))
    .twins(&["MockDingtalk::app_of", "App::info", "App::people", "App::conversations"])
    .verb("apps show"),
    Call::delete(
        "/_mock/apps/{clientId}",
        "deleteApp",
        "deletes an app and resets its connections",
        || axum::routing::delete(apps::remove),
    )
    .twins(&["App::delete"])
    .verb("apps delete"),
    Call::post(
        "/_mock/apps/{clientId}/delivery",
        "setDelivery",
        "changes how the app's pushes behave from now on",
        || post(apps::delivery),
    )
    .body(schema::delivery, &[r#"{"profile":"observed-16s","sameMessageId":true}"#])
    .twins(&["App::set_delivery", "App::delivery"])
    .verb("delivery set"),
    Call::get("/_mock/clock", "showClock", "the time of the mock", || get(clock::show))
        .answers(200, Content::Of("Clock"))
        .twins(&[
            "MockDingtalk::clock",
            "MockClock::unix_ms",
            "MockClock::since_start",
            "MockClock::is_paused",
            "MockClock::scale",
        ])
        .verb("clock show"),
    Call::post(
        "/_mock/clock",
        "turnClock",
        "advances, pauses, resumes or scales time, or makes the wall clock jump; what becomes due \
         has happened when the answer comes",
        || post(clock::turn),
    )
    .body(schema::clock, TURNS)
    .answers(200, Content::Of("Clock"))
    .twins(&[
        "MockClock::advance",
        "MockClock::pause",
        "MockClock::resume",
        "MockClock::jump",
        "MockClock::set_scale",
    ])
    .verb("clock advance"),
    Call::get(
        "/_mock/apps/{clientId}/clock",
        "showAppClock",
        "the time of one app, which the mock's clock drives",
        || get(clock::show_of_app),
    )
    .answers(200, Content::Of("Clock"))
    .twins(&["App::clock"])
    .verb("clock show --app"),
    Call::post(
        "/_mock/apps/{clientId}/clock",
        "turnAppClock",
        "turns the clock of one app",
        || post(clock::turn_of_app),
    )
    .body(schema::clock, TURNS)
    .answers(200, Content::Of("Clock"))
    .twins(&["App::clock"])
    .verb("clock advance --app"),
    Call::get(
        "/_mock/journal",
        "listJournal",
        "everything sent and received, in the order it happened",
        || get(journal::list),
    )
    .query(&[
        Parameter::text("app", APP),
        Parameter::number("after", u64::MAX, "only entries after this `seq`"),
        Parameter::number(
            "limit",
            u64::MAX,
            "so many at most; 1000 if not given, 10000 count; of lines 1000000",
        ),
        Parameter::words("format", &["json", "jsonl"], "an array, or lines that `replay` reads"),
        Parameter::words("redact", &["true", "false"], "of lines: marks for secrets, or not"),
    ])
    .twins(&[
        "App::journal",
        "MockDingtalk::journal",
        "App::export_journal",
        "MockDingtalk::export_journal",
    ])
    .verb("journal"),
    Call::get(
        "/_mock/events",
        "followJournal",
        "journal entries as they are written, as server-sent events",
        || get(events::stream),
    )
    .query(&[Parameter::text("app", APP)])
    .answers(200, Content::Other("text/event-stream"))
    .no_twin("the library waits for states instead: `wait_sent`, `wait_acked`, `wait_connections`")
    .verb("journal --follow"),
    Call::get(
        "/_mock/unmatched",
        "listUnmatched",
        "calls of bots for which the mock has no answer, the last hundred",
        || get(pages::unmatched),
    )
    .twins(&["MockDingtalk::unmatched"])
    .verb("unmatched"),
    Call::get("/_mock/env", "showEnv", "the variables that plug a bot in", || get(env::show))
        .query(&[
            Parameter::text("clientId", APP).required(),
            Parameter::words("sdk", SDKS, "whom they are for; all if not given"),
            Parameter::words("format", FORMATS, "how they are written; json if not given"),
        ])
        .answers(200, Content::Other("text/plain"))
        .twins(&["App::env"])
        .verb("env"),
    Call::get(
        "/_mock/ca.pem",
        "showCertificate",
        "the certificate that a bot has to trust",
        || get(ca::show),
    )
    .answers(200, Content::Other("application/x-pem-file"))
    .twins(&["MockDingtalk::ca_pem"])
    .verb("ca"),
    Call::get("/_mock/fixtures", "listFixtures", "the fixtures that can be pushed", || {
        get(messages::fixtures)
    })
    .twins(&["MockDingtalk::fixtures"])
    .verb("fixtures"),
    Call::get(
        "/_mock/coverage",
        "showCoverage",
        "what is modelled, how well, and by which source",
        || get(pages::coverage),
    )
    .twins(&["MockDingtalk::coverage"])
    .verb("coverage"),
    Call::get("/_mock/openapi.json", "describe", "this description", || get(pages::openapi))
        .twins(&["MockDingtalk::openapi"])
        .verb("openapi"),
    Call::post(
        "/_mock/reset",
        "reset",
        "forgets all apps and resets what is connected; the clock stays",
        || post(apps::reset),
    )
    .body(schema::nothing, &["{}"])
    .answers(204, Content::Nothing)
    .twins(&["MockDingtalk::reset"])
    .verb("reset"),
];
