//! `ddingtalk dev`: everything in one process, without a DingTalk account.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mock_dingtalk::{App, MockDingtalk};
use tokio::sync::watch;
use tracing::info;
use url::Url;

use super::agent::AgentArgs;
use super::exit_code::{ExitCode, Failure};
use super::output;
use super::signals::Signals;
use crate::agent::Agent;
use crate::config::ProcessEnvironment;
use crate::config::accounts::DEFAULT;
use crate::credential::{ClientId, Credential};
use crate::gateway::access::AccessPolicy;
use crate::gateway::cards::CardConfig;
use crate::gateway::deafness::AlertConfig;
use crate::gateway::{Gateway, GatewayConfig, QUEUED_AFTER};
use crate::link::{About, Desk, Health, Linked, Listener, Robot, Server};
use crate::openapi::{CALLS_PER_SECOND, Endpoints, OpenApiConfig, TrustedHosts};
use crate::redact::Secret;
use crate::store::StoreAddress;
use crate::stream::SessionConfig;
use crate::{telemetry, tls};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Send one message as a user, print the robot's answer, and end.
    #[arg(long, value_name = "TEXT")]
    say: Option<String>,
    #[command(flatten)]
    agent: AgentArgs,
    /// Where the mock listens, the chat page with it; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Log more.
    #[arg(long, short)]
    verbose: bool,
}

/// Who speaks in `--say`.
const USER: &str = "user0001";

/// How long `--say` waits for the connection, and then for the answer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    if args.say.as_ref().is_some_and(|text| text.trim().is_empty()) {
        return Err(Failure::new(
            ExitCode::Usage,
            "--say is empty; give it the text to send, such as --say hello",
        ));
    }
    telemetry::start(args.verbose);
    let mut signals = Signals::catch()?;
    let mock = MockDingtalk::builder().listen(args.listen).start().await.map_err(|e| {
        let cause = std::error::Error::source(&e).map(|c| format!(": {c}")).unwrap_or_default();
        let advice = "give --listen another address, or port 0 for a free port";
        Failure::new(ExitCode::Address, format!("{e}{cause}; {advice}"))
    })?;
    let app = mock.app();
    let state_dir = tempfile::tempdir().map_err(|e| {
        let message = format!("cannot make a temporary directory: {e}; set TMPDIR to another one");
        Failure::new(ExitCode::StateDirectory, message)
    })?;
    let store = StoreAddress::in_directory(state_dir.path()).open()?;
    let client_id = ClientId::new(app.client_id());
    let desk = Desk::new(client_id.clone());
    let kind = args.agent.kind(None);
    let agent = args.agent.build(kind, &ProcessEnvironment, &client_id, &store, &desk)?;
    let listener = Listener::bind(state_dir.path(), None).await?;
    info!(link = listener.address(), "agents can attach, and pushes be made");
    let config = config(&mock, &app, agent, state_dir.path());
    let mut gateway = Gateway::start(config, Arc::clone(&store)).await?;
    let dir = state_dir.path().to_owned();
    let linked =
        Arc::new(Linked::new(About::new(dir.clone(), StoreAddress::in_directory(&dir)), None));
    linked.put(Robot::of(DEFAULT.to_owned(), desk, kind, &gateway));
    let accounts = vec![(DEFAULT.to_owned(), client_id)];
    let health = Health::new(store, Arc::clone(&linked), accounts);
    let link = Server::start(listener, linked, &health);
    let work = async {
        match args.say {
            Some(text) => tokio::select! {
                outcome = say(&app, &text) => outcome,
                _ = signals.next() => {
                    Err(Failure::new(ExitCode::NoAnswer, "interrupted before the answer came"))
                }
            },
            None => stay(&mock, &mut signals).await,
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        failure = gateway.failed() => return Err(Failure::new(ExitCode::Failed, failure)),
    };
    signals.or_die(gateway.stop()).await;
    drop(link);
    outcome
}

/// Both sides in one process: only what the agent needs is read from the environment, no proxy is asked,
/// all is open.
fn config(
    mock: &MockDingtalk,
    app: &App,
    agent: Arc<dyn Agent>,
    state_dir: &Path,
) -> GatewayConfig {
    let url = Url::parse(mock.url()).expect("the mock's own address is a URL");
    let endpoints = Endpoints { openapi: url.clone(), oapi: url };
    GatewayConfig {
        openapi: OpenApiConfig {
            trusted: TrustedHosts::new(&endpoints, []),
            endpoints,
            credential: Credential {
                client_id: ClientId::new(app.client_id()),
                client_secret: Secret::new(app.client_secret()),
                place: "the mock".to_owned(),
            },
            tls: tls::no_trust(),
            system_proxy: false,
            timeout: Duration::from_secs(10),
            calls_per_second: CALLS_PER_SECOND,
        },
        session: SessionConfig::default(),
        handshake_timeout: Duration::from_secs(10),
        agent,
        state_dir: state_dir.to_owned(),
        access: watch::Sender::new(AccessPolicy::open()).subscribe(),
        show_thinking: true,
        queued_after: Some(QUEUED_AFTER),
        delegate: true,
        cards: CardConfig::default(),
        alert: AlertConfig::default(),
        held: watch::Sender::new(false).subscribe(),
        traces: None,
    }
}

async fn say(app: &App, text: &str) -> Result<(), Failure> {
    let no_answer = |e| Failure::new(ExitCode::NoAnswer, format!("no answer: {e}"));
    app.wait_connections_within(1, PATIENCE).await.map_err(no_answer)?;
    app.say(USER, text).await.map_err(no_answer)?;
    let sent = app.wait_sent_within(1, PATIENCE).await.map_err(no_answer)?;
    let answer = sent.first().map_or("", |row| row.text.as_str());
    output::line(answer)
        .map_err(|e| Failure::new(ExitCode::Failed, format!("cannot print the answer: {e}")))
}

async fn stay(mock: &MockDingtalk, signals: &mut Signals) -> Result<(), Failure> {
    output::line(&format!("chat page: {}/", mock.url()))
        .map_err(|e| Failure::new(ExitCode::Failed, format!("cannot print: {e}")))?;
    info!("write to the robot on the chat page; Ctrl-C ends");
    signals.next().await;
    info!("stopping");
    Ok(())
}
