//! A mock with one app, whose clock stands still, and what a probe is.

use std::{pin::Pin, time::Duration};

use mock_dingtalk::{App, AppOptions, MockDingtalk};

/// What a probe finds wrong, in words.
pub(crate) type Verdict = Result<(), String>;

/// A small client that knows how one thing has to be.
pub(crate) struct Probe {
    /// Its name, in the page and in the names of trials.
    pub(crate) name: &'static str,
    /// The mutations that it notices, and no others.
    pub(crate) notices: &'static [&'static str],
    pub(crate) play: fn(Stage) -> Pin<Box<dyn Future<Output = Verdict> + Send>>,
}

/// Where a probe is played.
pub(crate) struct Stage {
    pub(crate) mock: MockDingtalk,
    pub(crate) app: App,
    pub(crate) http: reqwest::Client,
    /// How long anything may take to come.
    pub(crate) patience: Duration,
}

impl Probe {
    /// Plays it against a mock of its own.
    pub(crate) async fn play(&self, mutation: Option<&str>, patience: Duration) -> Verdict {
        let builder = MockDingtalk::builder().seed(1);
        let builder = match mutation {
            Some(mutation) => builder.mutation(mutation).map_err(|error| error.to_string())?,
            None => builder,
        };
        let mock = builder.start().await.map_err(|error| error.to_string())?;
        mock.clock().pause();
        let app = mock.app_with(AppOptions::default().seed(7)).map_err(|e| e.to_string())?;
        let http = reqwest::Client::builder().no_proxy().timeout(patience).build();
        let http = http.map_err(|error| error.to_string())?;
        (self.play)(Stage { mock, app, http, patience }).await
    }
}

/// `Err` with what is wrong, unless it holds.
macro_rules! hold {
    ($holds:expr, $($wrong:tt)+) => {
        if !$holds {
            return Err(format!($($wrong)+));
        }
    };
}
pub(crate) use hold;

/// The list of a file's probes: `name: [mutation, …]` for each function of that name.
macro_rules! probes {
    ($($name:ident: [$($mutation:literal),+],)+) => {
        pub(crate) const PROBES: &[$crate::stage::Probe] = &[$($crate::stage::Probe {
            name: stringify!($name),
            notices: &[$($mutation),+],
            play: |stage| Box::pin($name(stage)),
        }),+];
    };
}
pub(crate) use probes;
