//! `mock-dingtalk custom-robots`: webhooks that anybody with the address can write to a group by.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    client::OfApp,
    exit_code::Exit,
    print::{self, Column},
};

/// List custom robots, or put one into a group.
#[derive(Debug, Args)]
pub(super) struct CustomRobots {
    #[command(flatten)]
    of: OfApp,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them, in the order of minting.
    List,
    /// Put one into a group, the group Team if none is given.
    Add {
        /// The group with this title, which is made if need be.
        #[arg(long, value_name = "TITLE", conflicts_with = "conversation")]
        group: Option<String>,
        /// The group with this id.
        #[arg(long, value_name = "ID")]
        conversation: Option<String>,
        /// Ask for a signature by this secret, which starts with SEC; without a value one is made up.
        #[arg(long, num_args = 0..=1, default_missing_value = "")]
        secret: Option<String>,
        /// Ask for a word; can be given up to 10 times, and one of them is enough.
        #[arg(long = "keyword", value_name = "WORD")]
        keywords: Vec<String>,
        /// Let this IPv4 address or network write, and no other; can be given up to 10 times.
        #[arg(long = "ip", value_name = "ADDRESS")]
        ip_whitelist: Vec<String>,
    },
}

const COLUMNS: &[Column] = &[
    ("CONVERSATION", "/conversationId"),
    ("SECRET", "/secret"),
    ("KEYWORDS", "/keywords"),
    ("IPWHITELIST", "/ipWhitelist"),
    ("WEBHOOK", "/webhook"),
];

impl CustomRobots {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let (client, app) = self.of.find().await?;
        let url = client.at(&["apps", &app, "custom-robots"]);
        let shown = match self.verb {
            Verb::List => client.get(url).await?,
            Verb::Add { group, conversation, secret, keywords, ip_whitelist } => {
                let mut body = json!({
                    "secret": secret,
                    "keywords": keywords,
                    "ipWhitelist": ip_whitelist,
                });
                if group.is_some() || conversation.is_some() {
                    body["conversation"] = json!({ "id": conversation, "title": group });
                }
                client.post(url, &body).await?
            }
        };
        print::rows(&shown, COLUMNS, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}
