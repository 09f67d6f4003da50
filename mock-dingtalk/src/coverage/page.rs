//! The ledger as a page for people.

use std::fmt::Write as _;

use super::{Need, behaviours};
use crate::core::endpoints;

const HEAD: &str = "# Coverage

Generated from the tables that the program works with (`src/coverage.rs`); `GET /_mock/coverage` and
`mock-dingtalk coverage --json` give the same as data.

* **exact**: as the source says, in every point that it settles.
* **derived**: the source leaves something open, which the mock settles; the note says what.
* **not modelled**: calls get DingTalk's 404; the note says why.

Sources with sections (`openapi.md`, `stream-protocol.md`, `harness-anchors.md`) are the project's digests of
DingTalk's documentation, whose pages they number as KB, of SDKs and of reports.

Need: M is what bots of every kind call, N is called by some, R is refused by DingTalk too, + is an address that
an answer leads to, and - is called by no client that is known.

## Endpoints

| call | host | permission | need | status | source | note |
| --- | --- | --- | --- | --- | --- | --- |
";

pub(super) fn markdown() -> String {
    let mut page = String::from(HEAD);
    for row in endpoints() {
        let method = if row.method == "*" { "any" } else { row.method };
        let _ = writeln!(
            page,
            "| `{method} {}` | {} | {} | {} | {} | {} | {} |",
            row.pattern,
            row.host,
            row.permission.unwrap_or_default(),
            Need::of(&row).letter(),
            row.fidelity.name(),
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
        let (name, status) = (row.name, row.fidelity.name());
        let _ = writeln!(page, "| {name} | {status} | {} | {} |", row.source, row.note);
    }
    page
}
