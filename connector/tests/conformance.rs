//! The conformance suite on this program, with the agent `echo` and with the agent `openai`: one test
//! for each case and agent. Every MUST and every SHOULD has to pass. There is no baseline.
//!
//! Cases about hosts are tried with a program that trusts one host more, too, which they have to catch:
//! `caught::CASE`.
//!
//! A part of the cases is played in a mock of another process too: `elsewhere::AGENT::CASE`.
//!
//! `CONFORMANCE_SEED=N` is another seed of all that the mock makes up; 1 if it is not set.
//! `CONFORMANCE_REPORT=DIR` has a report of each agent written to `DIR/AGENT`.

#[path = "conformance/elsewhere.rs"]
mod elsewhere;
#[path = "conformance/subject.rs"]
mod subject;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use dingtalk_conformance::run::{Outcome, Report, Setup, Verdict};
use dingtalk_conformance::suite::{Case, Level, Suite};
use libtest_mimic::{Arguments, Failed, Trial};

/// The host that the mock plays to lead bots astray, where it is reached by `127.0.0.1`.
const ASTRAY: &str = " --allow-host localhost";
/// Cases that catch a program that may go there.
const CAUGHT: [&str; 2] = ["media/foreign-host", "media/foreign-redirect"];

/// What came of the cases of one agent.
type Outcomes = Arc<Mutex<Vec<Outcome>>>;

fn main() -> ExitCode {
    if elsewhere::is_asked_for() {
        elsewhere::serve();
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(subject::JOBS);
    let seed = std::env::var("CONFORMANCE_SEED").unwrap_or_else(|_| "1".to_owned());
    let seed = seed.parse().expect("CONFORMANCE_SEED is a number");
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance");
    let suite = Suite::open(dir).expect("the suite can be read");
    // What may take longest begins first, so that nothing long is left for the end.
    let mut cases: Vec<_> = suite.cases().collect();
    cases.sort_by_key(|case| std::cmp::Reverse(case.scenario().patience));
    let agents = subject::setups(seed).map(|(agent, setup)| (agent, setup, Outcomes::default()));
    let mut trials = Vec::new();
    for case in &cases {
        for (agent, setup, outcomes) in &agents {
            let name = format!("{agent}::{}", case.id());
            trials.push(trial(name, setup, suite.level(case), case, outcomes));
        }
    }
    let [(_, echo, _), _] = &agents;
    for case in cases.iter().filter(|case| CAUGHT.contains(&case.id())) {
        trials.push(caught(echo, suite.level(case), case));
    }
    let mut played = BTreeSet::new();
    for (agent, setup, _) in &agents {
        for case in elsewhere::selected(setup, &cases) {
            played.extend(elsewhere::kinds(case));
            trials.push(play_elsewhere(agent, setup, suite.level(case), case));
        }
    }
    let all: BTreeSet<String> = cases.iter().flat_map(|case| elsewhere::kinds(case)).collect();
    trials.push(Trial::test("elsewhere::each_act_and_expectation_is_played", move || {
        // What only bots that subscribe to EVENT can be tried with.
        let missing: Vec<_> = all.difference(&played).filter(|kind| *kind != "event").collect();
        let missed = |missing| Err(Failed::from(format!("nothing plays {missing:?}")));
        if missing.is_empty() { Ok(()) } else { missed(missing) }
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(dir) = std::env::var_os("CONFORMANCE_REPORT").map(PathBuf::from) {
        let whole = arguments.filter.is_none() && arguments.skip.is_empty();
        for (agent, setup, outcomes) in &agents {
            report(&dir.join(agent), &suite, setup, outcomes, whole);
        }
    }
    conclusion.exit_code()
}

fn applies(setup: &Setup, case: &Case) -> bool {
    case.scenario().needs.iter().all(|need| setup.capabilities.contains(need))
}

fn trial(name: String, setup: &Setup, level: Level, case: &Case, outcomes: &Outcomes) -> Trial {
    let ignored = !applies(setup, case);
    let (setup, case, outcomes) = (setup.clone(), case.clone(), Arc::clone(outcomes));
    Trial::test(name, move || {
        let outcome = play(&setup, &case, level)?;
        let judged = judge(&outcome);
        outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        judged
    })
    .with_ignored_flag(ignored)
}

/// A program that goes where it must not is noticed.
fn caught(setup: &Setup, level: Level, case: &Case) -> Trial {
    let setup = Setup { subject: format!("{}{ASTRAY}", setup.subject), ..setup.clone() };
    let case = case.clone();
    Trial::test(format!("caught::{}", case.id()), move || {
        let outcome = play(&setup, &case, level)?;
        let why = outcome.why.clone().unwrap_or_default();
        let noticed = outcome.verdict == Verdict::Warn && why.contains("foreign-host-asked");
        if noticed { Ok(()) } else { Err(Failed::from(format!("not noticed: {outcome:?}"))) }
    })
}

fn play_elsewhere(agent: &str, setup: &Setup, level: Level, case: &Case) -> Trial {
    let (setup, case) = (setup.clone(), case.clone());
    Trial::test(format!("elsewhere::{agent}::{}", case.id()), move || {
        let setup = Setup { mock: Some(elsewhere::control()), ..setup };
        judge(&play(&setup, &case, level)?)
    })
}

fn play(setup: &Setup, case: &Case, level: Level) -> Result<Outcome, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(setup.run(case, level)))
}

fn judge(outcome: &Outcome) -> Result<(), Failed> {
    match outcome.verdict {
        Verdict::Pass | Verdict::Info => Ok(()),
        _ => Err(Failed::from(outcome.explain())),
    }
}

/// Writes what came of the cases; where all were chosen, those too that the program was not tried with.
fn report(dir: &Path, suite: &Suite, setup: &Setup, outcomes: &Outcomes, whole: bool) {
    let mut outcomes =
        std::mem::take(&mut *outcomes.lock().unwrap_or_else(PoisonError::into_inner));
    let others = suite.cases().filter(|case| whole && !applies(setup, case));
    outcomes.extend(others.filter_map(|case| play(setup, case, suite.level(case)).ok()));
    outcomes.sort_by(|one, other| one.case.cmp(&other.case));
    let report = Report::new(suite, setup, outcomes, Vec::new());
    report.write(dir).expect("CONFORMANCE_REPORT names a folder that can be written to");
}
