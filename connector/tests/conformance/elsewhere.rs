//! A mock in a process of its own, which is driven by its control API alone: as few cases as it takes to play
//! each act and each expectation there.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use dingtalk_conformance::run::Setup;
use dingtalk_conformance::suite::Case;
use mock_dingtalk::{ControlClient, MockDingtalk};
use serde_json::Value;

/// Set in the process that is to be the mock.
const SERVE: &str = "CONFORMANCE_SERVE";

/// Whether this process is to be the mock and nothing else.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os(SERVE).is_some()
}

/// Is the mock, until whoever started it ends.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be had");
    let mock = runtime.block_on(MockDingtalk::start()).expect("a port can be had");
    let mut out = std::io::stdout();
    writeln!(out, "{}", mock.url()).and_then(|()| out.flush()).expect("somebody reads it");
    let mut end = Vec::new();
    // Nothing is written: it ends with the process that holds the other side.
    let _ = std::io::stdin().read_to_end(&mut end);
}

/// The process of the mock, which ends with this one.
struct Elsewhere {
    url: String,
    _child: Child,
    _stdin: ChildStdin,
}

/// Control of the mock, which the first one who asks starts.
pub(crate) fn control() -> ControlClient {
    static ELSEWHERE: OnceLock<Elsewhere> = OnceLock::new();
    let mock = ELSEWHERE.get_or_init(|| {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.env(SERVE, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program starts again");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut url = String::new();
        BufReader::new(stdout.expect("it is piped")).read_line(&mut url).expect("it says where");
        let url = url.trim().to_owned();
        Elsewhere { url, _child: child, _stdin: stdin.expect("it is piped") }
    });
    ControlClient::to(&mock.url.parse().expect("it is a URL")).expect("it can be asked")
}

/// What the steps of a case do and expect.
pub(crate) fn kinds(case: &Case) -> BTreeSet<String> {
    let file: Value = serde_json::from_str(case.text()).expect("a case is JSON");
    let steps = file["steps"].as_array().into_iter().flatten();
    let names = steps.filter_map(Value::as_object).flat_map(|step| step.keys());
    names.filter(|name| !["as", "within"].contains(&name.as_str())).cloned().collect()
}

/// Cases that the program with this agent can be tried with, the shortest that together have all that any of
/// them has.
pub(crate) fn selected<'a>(setup: &Setup, cases: &[&'a Case]) -> Vec<&'a Case> {
    let mut cases = cases.to_vec();
    cases.retain(|case| crate::applies(setup, case));
    cases.sort_by_key(|case| (case.scenario().patience, case.scenario().steps()));
    let mut known = BTreeSet::new();
    cases.retain(|case| {
        let kinds = kinds(case);
        let new = !kinds.is_subset(&known);
        known.extend(kinds);
        new
    });
    cases
}
