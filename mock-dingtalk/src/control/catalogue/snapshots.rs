//! Calls about states of the mock that are kept.

use axum::routing::{delete, post};

use super::{Call, Content, get, schema};
use crate::control::snapshots;

pub(super) static CALLS: &[Call] = &[
    Call::get("/_mock/snapshots", "listSnapshots", "what is kept, oldest first", || {
        get(snapshots::list)
    })
    .twins(&["MockDingtalk::snapshots"])
    .verb("snapshot list"),
    Call::post(
        "/_mock/snapshots",
        "takeSnapshot",
        "keeps the state of all apps under a new name",
        || post(snapshots::take),
    )
    .body(schema::snapshot, &[r#"{"name":"start"}"#])
    .answers(201, Content::Of("Snapshot"))
    .twins(&["MockDingtalk::snapshot"])
    .verb("snapshot save"),
    Call::delete("/_mock/snapshots/{name}", "deleteSnapshot", "forgets a state", || {
        delete(snapshots::remove)
    })
    .twins(&["MockDingtalk::delete_snapshot"])
    .verb("snapshot delete"),
    Call::post(
        "/_mock/snapshots/{name}/restore",
        "restoreSnapshot",
        "brings a state back: apps that are not in it are deleted, live sockets stay with theirs",
        || post(snapshots::restore),
    )
    .body(schema::nothing, &[])
    .answers(204, Content::Nothing)
    .twins(&["MockDingtalk::restore"])
    .verb("snapshot restore"),
];
