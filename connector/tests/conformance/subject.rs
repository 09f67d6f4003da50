//! This program as the suite runs it: with each agent, and all that it can do declared.
//!
//! `events` and `events-later` are not declared, since it subscribes to no EVENT: `DingTalk` spreads them over
//! all connections of an app, so that whoever takes them without a use for them takes them away from
//! another client of the same app.

use dingtalk_conformance::run::{Setup, capabilities};

/// What it can do beside echoing texts, whatever the agent.
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
pub(crate) const JOBS: usize = 16;

/// Each agent, and how the suite runs the program with it.
pub(crate) fn setups(seed: u64) -> [(&'static str, Setup); 2] {
    AGENTS.map(|(agent, more)| (agent, setup(agent, more, seed)))
}

fn setup(agent: &str, more: &[&str], seed: u64) -> Setup {
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
        seed,
        ..Setup::default()
    }
}
