//! `reactions`, `unmatched`, `fixtures`: what is there, without a wait.

use std::process::ExitCode;

use clap::Args;

use super::{
    client::{OfApp, Target},
    exit_code::Exit,
    print,
};

/// Print the robot's reactions that stand.
#[derive(Debug, Args)]
pub(super) struct Reactions {
    #[command(flatten)]
    of: OfApp,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Reactions {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let (client, app) = self.of.find().await?;
        let columns = [
            ("EMOTION", "/emotionName"),
            ("OPENMSGID", "/openMsgId"),
            ("CONVERSATION", "/openConversationId"),
        ];
        let rows = client.get(client.at(&["apps", &app, "reactions"])).await?;
        print::rows(&rows, &columns, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Which mock, and how its words are printed.
#[derive(Debug, Args)]
struct Words {
    #[command(flatten)]
    target: Target,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Words {
    /// A list of strings, one a line.
    async fn run(&self, call: &str, head: &'static str) -> Result<ExitCode, Exit> {
        let client = self.target.client()?;
        print::rows(&client.get(client.at(&[call])).await?, &[(head, "")], self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Print the calls of bots for which the mock has no answer.
#[derive(Debug, Args)]
pub(super) struct Unmatched {
    #[command(flatten)]
    words: Words,
}

impl Unmatched {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        self.words.run("unmatched", "CALL").await
    }
}

/// Print the fixtures that `say --fixture` takes.
#[derive(Debug, Args)]
pub(super) struct Fixtures {
    #[command(flatten)]
    words: Words,
}

impl Fixtures {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        self.words.run("fixtures", "FIXTURE").await
    }
}
