//! Playing cases against a bot, and judging it.

mod baseline;
mod capability;
mod defects;
mod diff;
mod escape;
mod html;
mod junit;
mod matrix;
mod repeat;
mod report;
mod subject;
mod timeline;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use mock_dingtalk::{
    ControlClient, ControlError, Evidence, MockDingtalk, MockError, Model, RemoteApp,
    ScenarioFailure, Stage,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use self::baseline::{Applied, Baseline, BaselineError, Update};
pub use self::capability::{CAPABILITIES, UnknownCapability, capabilities};
pub use self::defects::{Defect, Defects};
pub use self::matrix::Matrix;
pub use self::report::{Report, ReportError};
use self::subject::Process;
pub use self::timeline::Happening;
pub use self::verdict::{Outcome, Verdict};
use crate::suite::{Case, Level, Suite};

/// The answer of a mock that has an app with these ids already.
const EXISTS: u16 = 409;
/// As players say it, too.
const HAD_ENDED: &str = "the bot had ended";
/// The same case may be played so many times at once with the same seed, in one mock.
const PLACES: u32 = 100;

/// How bots are run.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The command line of the bot, for `sh`. `{state}` stands for a folder that is empty at the
    /// start of a case and stays over restarts in it.
    pub subject: String,
    /// What it declares to be able to do beside echoing texts.
    pub capabilities: BTreeSet<String>,
    /// The command line that has it send a message that answers nothing, for `sh`, where it can.
    /// `{target}`, `{text}` and `{media}` stand for one word each, `{state}` for the bot's folder.
    pub push_cmd: Option<String>,
    /// Seed of all that the mock makes up.
    pub seed: u64,
    /// The mock that runs already, if cases are not to start mocks of their own.
    pub mock: Option<ControlClient>,
    /// The folder of the suite, if commands that play a case again have to name it.
    pub dir: Option<PathBuf>,
}

/// An app for one case, and the mock that it is in unless that runs elsewhere.
#[derive(Debug)]
struct Place {
    stage: Stage,
    _mock: Option<MockDingtalk>,
}

impl Setup {
    /// Plays one case, on an app and with a process of its own.
    pub async fn run(&self, case: &Case, level: Level) -> Outcome {
        let start = Instant::now();
        let scenario = case.scenario();
        let missing: Vec<&str> = scenario
            .needs
            .iter()
            .filter(|need| !self.capabilities.contains(*need))
            .map(String::as_str)
            .collect();
        let mut outcome = Outcome::new(case, level, self.seed, self.repro(case));
        if missing.is_empty() {
            self.play(case, level, &mut outcome).await;
        } else {
            outcome.verdict = Verdict::NotApplicable;
            outcome.why = Some(format!("the bot does not declare {}", missing.join(", ")));
        }
        outcome.millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        outcome
    }

    async fn play(&self, case: &Case, level: Level, outcome: &mut Outcome) {
        let place = match self.place(case).await {
            Ok(place) => place,
            Err(error) => {
                return outcome.untestable(format!("there is no mock to play in: {error}"));
            }
        };
        let model = match self.model(case).await {
            Ok(model) => model,
            Err(error) => return outcome.untestable(format!("the model does not start: {error}")),
        };
        let started = match place.stage.env().await {
            Ok(env) => Process::start(self, env, model).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let mut process = match started {
            Ok(process) => process,
            Err(error) => return outcome.untestable(format!("the bot does not start: {error}")),
        };
        let mut evidence = Evidence::default();
        let played = case.scenario().play_with(&place.stage, &mut process, &mut evidence).await;
        let ended = process.status();
        let output = process.end().await;
        if let Err(failure) = played {
            match failure {
                ScenarioFailure::Unmet { .. } => outcome.verdict = Verdict::of_unmet(level),
                ScenarioFailure::Broken { .. } => outcome.verdict = Verdict::Untestable,
            }
            if let ScenarioFailure::Unmet { step: 0, .. } = failure {
                outcome.not_run =
                    ended.and_then(|status| status.code()).filter(|code| is_not_run(*code));
            }
            let mut why = failure.to_string();
            if let Some(status) = ended.filter(|_| !why.contains(HAD_ENDED)) {
                why = format!("{why}; {HAD_ENDED}: {status}");
            }
            outcome.why = Some(why);
            let given = |value: serde_json::Value| (!value.is_null()).then_some(value);
            (outcome.expected, outcome.seen) = (given(evidence.expected), given(evidence.seen));
            outcome.journal = timeline::of(&place.stage).await;
            outcome.output = output;
        }
        if let Stage::There(app) = &place.stage {
            // A mock that has gone meanwhile has nothing to forget.
            let _ = app.delete().await;
        }
    }

    /// The seed, and another one for each case and place.
    fn seed_of(&self, case: &Case, place: u32) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, case.id(), place).hash(&mut hasher);
        hasher.finish()
    }

    /// An app in a mock that runs elsewhere. Whoever plays the same case there with the same seed has the first
    /// place, whose ids and tickets no other app can have.
    async fn mint(&self, client: &ControlClient, case: &Case) -> Result<RemoteApp, ControlError> {
        let mut options = case.scenario().app_body();
        let mut place = 0;
        loop {
            options.insert("seed".to_owned(), self.seed_of(case, place).into());
            match RemoteApp::mint(client.clone(), &options.clone().into()).await {
                Err(ControlError::Refused { status: EXISTS, .. }) if place < PLACES => place += 1,
                minted => return minted,
            }
        }
    }

    async fn place(&self, case: &Case) -> Result<Place, MockError> {
        if let Some(client) = &self.mock {
            let app = self.mint(client, case).await?;
            return Ok(Place { stage: Stage::There(app), _mock: None });
        }
        let mock = MockDingtalk::builder().seed(self.seed).start().await?;
        let app = mock.app_with(case.scenario().app_options())?;
        Ok(Place { stage: Stage::from(&app), _mock: Some(mock) })
    }

    /// The model of a bot that asks one.
    async fn model(&self, case: &Case) -> std::io::Result<Option<Model>> {
        if !self.capabilities.contains("openai-agent") {
            return Ok(None);
        }
        case.scenario().start_model().await.map(Some)
    }

    /// The command that plays one case alone again.
    fn repro(&self, case: &Case) -> String {
        let subject = quoted(&self.subject);
        let push = self.push_cmd.as_ref().map(|line| format!(" --push-cmd {}", quoted(line)));
        let push = push.unwrap_or_default();
        let names: Vec<_> = self.capabilities.iter().map(String::as_str).collect();
        let names = match names.as_slice() {
            [] => String::new(),
            names => format!(" --capabilities {}", names.join(",")),
        };
        // The ids of a mock that runs elsewhere, and so its choices, are others. Its token is a secret.
        let mock = self.mock.as_ref().map(|mock| format!(" --mock {}", mock.url()));
        let mock = mock.unwrap_or_default();
        let dir = self.dir.as_ref().map(|dir| format!(" --dir {}", quoted(&dir.to_string_lossy())));
        let dir = dir.unwrap_or_default();
        let (case, seed) = (case.id(), self.seed);
        format!(
            "dingtalk-conformance run --subject {subject}{names}{push}{mock}{dir} --case {case} \
             --seed {seed}"
        )
    }

    /// Plays cases so many times over, each time with another seed made of the one that is given. A
    /// case that passes and does not pass fails as flaky. `ended` is told of each as it ends.
    pub async fn run_rounds(
        self,
        suite: &Suite,
        cases: &[Case],
        rounds: u32,
        jobs: usize,
        mut ended: impl FnMut(&Outcome),
    ) -> Vec<Outcome> {
        let mut by_case: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
        for round in 0..rounds.max(1) {
            let setup = Self { seed: repeat::seed(self.seed, round), ..self.clone() };
            for outcome in setup.run_all(suite, cases.to_vec(), jobs, &mut ended).await {
                by_case.entry(outcome.case.clone()).or_default().push(outcome);
            }
        }
        by_case.into_values().filter_map(repeat::together).collect()
    }

    /// Plays cases, at most `jobs` at the same time, and tells of each as it ends.
    pub async fn run_all(
        self,
        suite: &Suite,
        mut cases: Vec<Case>,
        jobs: usize,
        mut ended: impl FnMut(&Outcome),
    ) -> Vec<Outcome> {
        let setup = Arc::new(self);
        let places = Arc::new(Semaphore::new(jobs.max(1)));
        let mut running = JoinSet::new();
        // What may take longest begins first, so that nothing long is left for the end.
        cases.sort_by_key(|case| std::cmp::Reverse(case.scenario().patience));
        for case in cases {
            let (setup, places) = (Arc::clone(&setup), Arc::clone(&places));
            let level = suite.level(&case);
            running.spawn(async move {
                let _place = places.acquire().await.expect("nobody closes it");
                setup.run(&case, level).await
            });
        }
        let mut outcomes = Vec::new();
        while let Some(outcome) = running.join_next().await {
            let outcome = outcome.expect("a case does not panic");
            ended(&outcome);
            outcomes.push(outcome);
        }
        outcomes.sort_by(|one, other| one.case.cmp(&other.case));
        outcomes
    }
}

/// The status with which `sh` says that it cannot run a command, or that there is none.
fn is_not_run(code: i32) -> bool {
    matches!(code, 126 | 127)
}

/// One word for `sh`.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
