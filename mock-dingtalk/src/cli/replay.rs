//! `mock-dingtalk replay`.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use mock_dingtalk::{Recording, Replay as Server};
use serde_json::json;

use super::{arguments, exit_code::Exit, ready::ReadyFile, signals::Signals};

/// Serve a recorded session again, and say whether the bot behaves as it did.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// A journal, as `journal --export` writes it.
    file: PathBuf,
    /// `clientId` of the app whose session it is, if the journal holds several.
    #[arg(long, value_name = "ID")]
    app: Option<String>,
    /// How much faster than it was recorded; 0 means without any pause.
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed)]
    speed: f64,
    /// How long to wait for what is missing, once every frame is out: such as 30s, or plain seconds.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = arguments::patience)]
    patience: Duration,
    /// Where to listen; port 0 means a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Write the ready line to this file too (mode 0600); it is removed at exit.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if speed.is_finite() && speed >= 0.0 { Ok(speed) } else { Err("0 or more".to_owned()) }
}

impl Replay {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let mut signals = Signals::listen()?;
        let file = self.file.display();
        let text = std::fs::read_to_string(&self.file).map_err(|error| {
            Exit::usage(format!(
                "cannot read {file}: {error}; `mock-dingtalk journal --export > FILE` writes a \
                 journal while the mock still runs"
            ))
        })?;
        let recording = Recording::parse(&text, self.app.as_deref())
            .map_err(|error| Exit::usage(format!("{file}: {error}")))?;
        let server = Server::start(recording, self.listen, self.speed).await.map_err(|error| {
            Exit::unavailable(format!("cannot listen on {}: {error}", self.listen))
        })?;
        let ready = json!({
            "url": server.url(),
            "wsUrl": server.ws_url(),
            "pid": std::process::id(),
        });
        let ready = ready.to_string();
        let ready_file = self.ready_file.as_deref();
        let _file = ready_file.map(|path| ReadyFile::write(path, &ready)).transpose()?;
        print(&ready);
        let outcome = tokio::select! {
            outcome = server.finished(self.patience) => outcome,
            _ = signals.next() => server.outcome(),
        };
        print(&json!(outcome).to_string());
        Ok(if outcome.same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Nobody may be reading; the exit code says it all the same.
fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
