//! `ddingtalk gateway restart`: the running process ends in order and becomes a new one in its own place,
//! with the same id, arguments, environment and output, so that neither a terminal nor a supervisor nor a
//! container notices.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Which, not_running};
use crate::cli::exit_code::{ExitCode, Failure};
use crate::cli::output;
use crate::cli::times::duration;
use crate::link::client::LinkClient;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// How long it may take; answers under way get 10 s.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
}

const LOOK: Duration = Duration::from_millis(50);
/// A directory that nobody holds for so long stays so: between two lives it is held by nobody.
const GONE: Duration = Duration::from_secs(3);

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let (dir, holder) = args.which.holder()?;
    let Some(holder) = holder else { return Err(not_running(&dir)) };
    let link = LinkClient::open(&dir)?;
    let (code, answer) = link.post(&["v1", "restart"], &json!({})).await?;
    if code != 202 {
        let why = answer["error"].as_str().unwrap_or("it did not say why");
        let message = format!("the gateway goes on as it is: {why}");
        return Err(Failure::new(ExitCode::Failed, message));
    }
    let start = Instant::now();
    let mut seen = Instant::now();
    while start.elapsed() < args.timeout {
        tokio::time::sleep(LOOK).await;
        match crate::state_dir::holder(&dir)? {
            Some(now) => {
                seen = Instant::now();
                if now.since != holder.since
                    && let Ok(link) = LinkClient::open(&dir)
                    && let Ok((200, status)) = link.get(&["v1", "status"]).await
                {
                    return output::data(&format!("restarted: pid {}", pid(&status)));
                }
            }
            None if seen.elapsed() > GONE => {
                let message =
                    "the gateway ended, and did not begin again; `ddingtalk logs` says why";
                return Err(Failure::new(ExitCode::NoGateway, message));
            }
            None => {}
        }
    }
    let waited = humantime::format_duration(args.timeout);
    let message =
        format!("the gateway has not begun again within {waited}; `ddingtalk logs` says why");
    Err(Failure::new(ExitCode::Failed, message))
}

fn pid(status: &Value) -> &Value {
    &status["process"]["pid"]
}
