//! The conformance suite on this program, with the agent `echo`: one test for each case.
//!
//! Every MUST and every SHOULD has to pass. There is no baseline.

use std::path::Path;

use dingtalk_conformance::run::{Setup, Verdict};
use dingtalk_conformance::suite::Suite;
use libtest_mimic::{Arguments, Failed, Trial};

/// What the program can do beside echoing texts.
const CAPABILITIES: [&str; 4] = ["durable", "fallback", "groups", "retry"];
/// How many cases are played at the same time: a bot mostly waits.
const JOBS: usize = 16;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(JOBS);
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance");
    let suite = Suite::open(dir).expect("the suite can be read");
    let setup = Setup {
        subject: format!(
            "env RUST_LOG=info '{}' gateway --agent echo --dm-policy open --group-policy open \
             --state-dir '{{state}}'",
            env!("CARGO_BIN_EXE_ddingtalk")
        ),
        capabilities: CAPABILITIES.map(str::to_owned).into(),
        seed: 1,
        ..Setup::default()
    };
    let trials = suite.cases().map(|case| {
        let (setup, level, case) = (setup.clone(), suite.level(case), case.clone());
        let needed = &case.scenario().needs;
        let applies = needed.iter().all(|need| setup.capabilities.contains(need));
        let name = case.id().to_owned();
        Trial::test(name, move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let outcome = runtime.block_on(setup.run(&case, level));
            match outcome.verdict {
                Verdict::Pass | Verdict::Info => Ok(()),
                _ => Err(Failed::from(outcome.explain())),
            }
        })
        .with_ignored_flag(!applies)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
