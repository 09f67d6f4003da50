//! `disconnect` and `cut`: what is done to live connections at once.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{client::OfApp, exit_code::Exit, print};

/// Which connections.
#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    of: OfApp,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Its id, or all of them.
    #[arg(default_value = "all")]
    connection: String,
}

/// Announce the end of connections, as the gateway does: TCP is reset 10 s later.
#[derive(Debug, Args)]
pub(super) struct Disconnect {
    #[command(flatten)]
    which: Which,
    /// The reason that the frame gives.
    #[arg(long)]
    reason: Option<String>,
}

/// End connections without notice.
#[derive(Debug, Args)]
pub(super) struct CutNow {
    #[command(flatten)]
    which: Which,
    /// In which way.
    #[arg(long, value_enum, default_value_t = How::Rst)]
    how: How,
    /// The code of a Close frame; 1000 if not given.
    #[arg(long, value_name = "CODE")]
    code: Option<u16>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum How {
    /// TCP is reset.
    Rst,
    /// TCP ends.
    Fin,
    /// A Close frame.
    Close,
    /// Nothing passes any more, and nobody is told.
    Blackhole,
}

impl Disconnect {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        self.which.act("disconnect", &json!({ "reason": self.reason })).await
    }
}

impl CutNow {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let kind = match self.how {
            How::Rst => "rst",
            How::Fin => "fin",
            How::Close => "close",
            How::Blackhole => "blackhole",
        };
        self.which.act("cut", &json!({ "type": kind, "code": self.code })).await
    }
}

impl Which {
    async fn act(&self, verb: &str, body: &Value) -> Result<ExitCode, Exit> {
        let (client, app) = self.of.find().await?;
        let url = client.at(&["apps", &app, "connections", &self.connection, verb]);
        let done = client.post(url, body).await?;
        print::rows(&done, &[("CONNECTIONS", "/connections")], self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}
