//! `docs/mutations.md` has a row for each mutation.

use std::{fmt::Write as _, path::Path};

use mock_dingtalk::MockDingtalk;

use crate::stage::Verdict;

const HEAD: &str = "\
# Wrong on purpose

A mock is worth its verdicts only if a wrong one would be noticed. With the feature `mutations`,
which nothing but its test turns on, the mock can be made wrong in each of these ways; the probes
of `tests/mutations/` are clients over real sockets, and a way is noticed by exactly those that
stand beside it. The sound mock passes them all.

```sh
cargo test -p mock-dingtalk --features mutations --test mutations
```

This page is made by that test (`UPDATE_DOCS=1` writes it anew).

| mutation | the mock | noticed by |
| --- | --- | --- |
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (mutation, what) in MockDingtalk::mutations() {
        let by = crate::probes().filter(|probe| probe.notices.contains(&mutation));
        let by: Vec<_> = by.map(|probe| format!("`{}`", probe.name)).collect();
        writeln!(page, "| `{mutation}` | {what} | {} |", by.join(", "))
            .expect("a string takes any text");
    }
    page
}

pub(crate) fn check() -> Verdict {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mutations.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).map_err(|error| error.to_string())?;
    }
    let known: Vec<_> = MockDingtalk::mutations().map(|(name, _)| name).collect();
    for probe in crate::probes() {
        if let Some(name) = probe.notices.iter().find(|name| !known.contains(name)) {
            return Err(format!("{} claims {name}, which is no mutation", probe.name));
        }
    }
    let written = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    if written == page() {
        return Ok(());
    }
    Err("it is out of date: UPDATE_DOCS=1 cargo test -p mock-dingtalk --features mutations \
         --test mutations"
        .to_owned())
}
