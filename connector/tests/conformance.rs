//! The conformance suite on this program, with the agent `echo` and with the agent `openai`: one test
//! for each case and agent.
//!
//! Every MUST and every SHOULD has to pass. There is no baseline.

use std::path::Path;

use dingtalk_conformance::run::{Setup, Verdict, capabilities};
use dingtalk_conformance::suite::{Case, Level, Suite};
use libtest_mimic::{Arguments, Failed, Trial};

/// What the program can do beside echoing texts, whatever the agent.
const CAPABILITIES: [&str; 9] = [
    "commands",
    "delegate",
    "durable",
    "every-type",
    "fallback",
    "groups",
    "idle-refresh",
    "push",
    "retry",
];
/// What else it can do with each agent.
const AGENTS: [(&str, &[&str]); 2] = [("echo", &["media"]), ("openai", &["cards", "openai-agent"])];
/// How many cases are played at the same time: a bot mostly waits.
const JOBS: usize = 16;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(JOBS);
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance");
    let suite = Suite::open(dir).expect("the suite can be read");
    // What may take longest begins first, so that nothing long is left for the end.
    let mut cases: Vec<_> = suite.cases().collect();
    cases.sort_by_key(|case| std::cmp::Reverse(case.scenario().patience));
    let trials = cases.iter().flat_map(|case| {
        let level = suite.level(case);
        AGENTS.map(|(agent, more)| trial(agent, &setup(agent, more), level, case))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn setup(agent: &str, more: &[&str]) -> Setup {
    let program = env!("CARGO_BIN_EXE_ddingtalk");
    let names = CAPABILITIES.iter().chain(more).copied();
    Setup {
        subject: format!(
            "env RUST_LOG=info '{program}' gateway --agent {agent} --dm-policy open \
             --group-policy open --delegate --renew-after 20s --state-dir '{{state}}'"
        ),
        capabilities: capabilities(names).expect("the suite knows them"),
        push_cmd: Some(format!(
            "m={{media}}; exec '{program}' message send --state-dir '{{state}}' --plain \
             --target {{target}} --message {{text}} ${{m:+--media \"$m\"}}"
        )),
        seed: 1,
        ..Setup::default()
    }
}

fn trial(agent: &str, setup: &Setup, level: Level, case: &Case) -> Trial {
    let (setup, case) = (setup.clone(), case.clone());
    let needed = &case.scenario().needs;
    let applies = needed.iter().all(|need| setup.capabilities.contains(need));
    let name = format!("{agent}::{}", case.id());
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outcome = runtime.block_on(setup.run(&case, level));
        match outcome.verdict {
            Verdict::Pass | Verdict::Info => Ok(()),
            _ => Err(Failed::from(outcome.explain())),
        }
    })
    .with_ignored_flag(!applies)
}
