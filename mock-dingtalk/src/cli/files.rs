//! `mock-dingtalk files`: files of people, and the bytes of any file.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::{
    arguments,
    client::OfApp,
    exit_code::Exit,
    print::{self, Column},
    say::MAX_MEDIA,
};

/// Keep a person's file for the robot to download, or fetch the bytes of one.
#[derive(Debug, Args)]
pub(super) struct Files {
    #[command(flatten)]
    of: OfApp,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Keep a file, and print the downloadCode that a message would carry.
    Add {
        /// What it is called; as the file is if not given.
        #[arg(long)]
        name: Option<String>,
        /// Into the space of this group, by its id.
        #[arg(long, value_name = "ID")]
        conversation: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        file: PathBuf,
    },
    /// Write a file's bytes to stdout: an upload of the robot, or what a person sent.
    Get {
        /// A mediaId, which `sent --json` shows, or a downloadCode.
        id: String,
    },
}

const COLUMNS: &[Column] = &[
    ("NAME", "/name"),
    ("SIZE", "/size"),
    ("DOWNLOADCODE", "/downloadCode"),
    ("SPACEID", "/spaceId"),
    ("DENTRYID", "/dentryId"),
];

impl Files {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        match self.verb {
            Verb::Add { name, conversation, json, file } => {
                let bytes = arguments::file(&file, MAX_MEDIA)?;
                let name = name.unwrap_or_else(|| arguments::file_name(&file));
                let (client, app) = self.of.find().await?;
                let mut url = client.at(&["apps", &app, "files"]);
                url.query_pairs_mut().append_pair("name", &name);
                if let Some(id) = &conversation {
                    url.query_pairs_mut().append_pair("conversation", id);
                }
                print::rows(&client.post_bytes(&url, bytes.into()).await?, COLUMNS, json)?;
            }
            Verb::Get { id } => {
                let (client, app) = self.of.find().await?;
                let url = client.at(&["apps", &app, "media", &id]);
                print::bytes(&client.bytes(&url).await?)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
