//! The ledger as a page for people.

use std::fmt::Write as _;

use super::{behaviours, endpoints::ENDPOINTS};

pub(super) fn markdown() -> String {
    let mut page = String::from(
        "# Coverage\n\nGenerated from `src/coverage.rs`, which tests hold against the router; \
         `GET /_mock/coverage` and\n`mock-dingtalk coverage --json` give the same as data.\n\n\
         * **exact**: as the source says, in every point that it settles.\n\
         * **derived**: the source leaves something open, which the mock settles; the note says \
         what.\n\
         * **not modelled**: calls get DingTalk's 404; the note says why.\n\n\
         Need: M is what every bot calls, N is called by some, R is refused by DingTalk too, and \
         + is what other\nrows need.\n\n## Endpoints\n\n\
         | call | need | status | source | note |\n| --- | --- | --- | --- | --- |\n",
    );
    for row in ENDPOINTS {
        let _ = writeln!(
            page,
            "| `{} {}` | {} | {} | {} | {} |",
            row.method,
            row.path,
            row.need.letter(),
            row.status.name(),
            row.source,
            row.note
        );
    }
    let rows = behaviours::all();
    let mut area = "";
    for row in &rows {
        if row.area != area {
            area = row.area;
            let (first, rest) = area.split_at(1);
            let _ = write!(
                page,
                "\n## {}{rest}\n\n| behaviour | status | source | note |\n| --- | --- | --- | --- \
                 |\n",
                first.to_ascii_uppercase()
            );
        }
        let (name, status) = (row.name, row.status.name());
        let _ = writeln!(page, "| {name} | {status} | {} | {} |", row.source, row.note);
    }
    page
}
