//! `ddingtalk doctor`: can the robots work, and if not, what is to be mended where.

use std::path::PathBuf;
use std::time::Duration;

use super::access::{AccessArgs, StoreFlag, state_dir};
use super::checkup::{Checkup, Consent, Known};
use super::exit_code::{ExitCode, Failure};
use super::output;
use super::times::duration;
use crate::config::accounts::Accounts;
use crate::config::{self, ProcessEnvironment};
use crate::doctor::{Advice, Problem, Report, reach};
use crate::gateway::push::Target;
use crate::openapi::Endpoints;
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of which account; of all if not given.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Send a test message to user:STAFFID or chat:OPENCONVERSATIONID, which shows whether they may see the
    /// robot.
    #[arg(long, value_name = "TARGET")]
    send_to: Option<Target>,
    /// Make no connection. One is made only while no gateway of the state directory is connected, it asks for no
    /// messages, and is closed at once.
    #[arg(long)]
    no_connect: bool,
    /// Limit for each step.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// A host, besides DingTalk's and allowHosts of the config file, that URLs made by the server may name; may be
    /// repeated.
    #[arg(long, value_name = "HOST", value_parser = super::gateway::host)]
    allow_host: Vec<String>,
    /// State directory of the gateway.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    store: StoreFlag,
    #[command(flatten)]
    access: AccessArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    telemetry::start_for_tools();
    let report = match settings(&args) {
        Ok((accounts, endpoints)) => look(&args, accounts, &endpoints).await?,
        Err(failure) => {
            let en =
                "correct the setting that is named; `ddingtalk config validate` reads them again";
            let zh = "改正上述设置；可用 `ddingtalk config validate` 再次检查";
            let advice = Advice::here(en, zh);
            Report::of_broken_settings(Problem { what: failure.to_string(), advice })
        }
    };
    let text = if args.json { report.json().to_string() } else { report.text() };
    output::data(&text)?;
    let failed = report.failed();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Unsound, format!("failed: {}", failed.join(", "))))
}

fn settings(args: &Args) -> Result<(Accounts, Endpoints), Failure> {
    let mut accounts = args.access.read()?;
    if let Some(name) = &args.account {
        let names: Vec<_> = accounts.accounts.iter().map(|a| a.name.clone()).collect();
        accounts.accounts.retain(|account| account.name == *name);
        if accounts.accounts.is_empty() {
            return Err(Failure::new(
                ExitCode::Configuration,
                format!("--account is {name:?}, which is none of {}", names.join(", ")),
            ));
        }
    }
    Ok((accounts, config::endpoints(&ProcessEnvironment)?))
}

async fn look(args: &Args, accounts: Accounts, endpoints: &Endpoints) -> Result<Report, Failure> {
    let tls = match super::gateway::tls_for(endpoints) {
        Ok(tls) => tls,
        Err(e) => {
            let en = "install CA certificates, or name a bundle in SSL_CERT_FILE";
            let advice = Advice::here(en, "安装 CA 证书，或在 SSL_CERT_FILE 中指定证书文件");
            return Ok(Report::of_broken_settings(Problem { what: e.to_string(), advice }));
        }
    };
    let checkup = Checkup::at(endpoints.clone(), tls, args.timeout).allowing(&args.allow_host);
    let transport = checkup.transport();
    let names: Vec<_> = accounts.accounts.iter().map(|account| account.name.as_str()).collect();
    let from =
        accounts.file.as_ref().map_or("the environment".to_owned(), |f| f.display().to_string());
    let mut report =
        Report::of_settings(format!("{from} (accounts: {})", names.join(", ")), &accounts.warnings);
    let any = accounts.accounts.first().map(|account| checkup.client(&account.credential));
    if let Some(any) = &any {
        reach(&mut report, &endpoints.openapi, any, &transport).await;
        if endpoints.oapi.host_str() != endpoints.openapi.host_str()
            || endpoints.oapi.port_or_known_default() != endpoints.openapi.port_or_known_default()
        {
            reach(&mut report, &endpoints.oapi, any, &transport).await;
        }
    }
    // Without a home there is no state directory, and nothing is known.
    let known = Known::of(state_dir(args.state_dir.clone()).ok().as_deref(), &args.store).await;
    let consent = Consent { no_connect: args.no_connect, send_to: args.send_to.as_ref() };
    for account in &accounts.accounts {
        let app = (account.name.as_str(), &account.credential);
        checkup.allowing(&account.allow_hosts).app(&mut report, app, &known, consent).await;
    }
    Ok(report)
}
