//! `limits`, `permissions`, `token`, `strictness`, `delivery`: how DingTalk treats an app.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    client::OfApp,
    exit_code::Exit,
    print::{self, Column},
};

/// Which app, and how its settings are printed.
#[derive(Debug, Args)]
struct Setting {
    #[command(flatten)]
    of: OfApp,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

impl Setting {
    /// Posts a change, or only looks; what there is now.
    async fn turn(&self, name: &str, change: Option<Value>) -> Result<Value, Exit> {
        let (client, app) = self.of.find().await?;
        let url = client.at(&["apps", &app, name]);
        Ok(match change {
            None => client.get(url).await?,
            Some(change) => client.post(url, &change).await?,
        })
    }

    /// The same, and prints it.
    async fn run(
        &self,
        name: &str,
        change: Option<Value>,
        columns: &[Column],
    ) -> Result<ExitCode, Exit> {
        print::rows(&self.turn(name, change).await?, columns, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Show or change how often the app may call.
#[derive(Debug, Args)]
pub(super) struct Limits {
    #[command(flatten)]
    setting: Setting,
    #[command(subcommand)]
    verb: LimitsVerb,
}

#[derive(Debug, Subcommand)]
enum LimitsVerb {
    /// What is allowed, and how much of it is used.
    Show,
    /// Change some of it; N is a number, or `none`.
    Set(NewLimits),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct NewLimits {
    /// Calls of one API within a second.
    #[arg(long, value_name = "N", value_parser = limit)]
    per_second: Option<Value>,
    /// Calls of one API within a minute.
    #[arg(long, value_name = "N", value_parser = limit)]
    per_minute: Option<Value>,
    /// Counted calls in a calendar month.
    #[arg(long, value_name = "N", value_parser = limit)]
    per_month: Option<Value>,
    /// Messages that people send in a calendar month.
    #[arg(long, value_name = "N", value_parser = limit)]
    messages_per_month: Option<Value>,
    /// People whom batchSend does not reach, with commas between them; empty: nobody.
    #[arg(long, value_name = "USERS")]
    flow_controlled: Option<String>,
    /// Whether sendBySession takes the types that no page has.
    #[arg(long, value_name = "BOOL")]
    undocumented_replies: Option<bool>,
}

fn limit(text: &str) -> Result<Value, String> {
    match text.parse::<u64>() {
        Ok(number) => Ok(number.into()),
        Err(_) if text == "none" => Ok(text.into()),
        Err(_) => Err("give a number, or none".to_owned()),
    }
}

impl Limits {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let columns = [
            ("PERSECOND", "/perSecond"),
            ("PERMINUTE", "/perMinute"),
            ("PERMONTH", "/perMonth"),
            ("USED", "/usedThisMonth"),
            ("MESSAGES", "/messagesPerMonth"),
            ("USED", "/messagesThisMonth"),
            ("FLOWCONTROLLED", "/flowControlled"),
            ("UNDOCUMENTED", "/undocumentedReplies"),
        ];
        let change = match self.verb {
            LimitsVerb::Show => None,
            LimitsVerb::Set(new) => Some(json!({
                "perSecond": new.per_second,
                "perMinute": new.per_minute,
                "perMonth": new.per_month,
                "messagesPerMonth": new.messages_per_month,
                "flowControlled": new.flow_controlled.map(|users| listed(&users)),
                "undocumentedReplies": new.undocumented_replies,
            })),
        };
        self.setting.run("limits", change, &columns).await
    }
}

fn listed(text: &str) -> Vec<String> {
    text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Show, grant or revoke the app's permissions.
#[derive(Debug, Args)]
pub(super) struct Permissions {
    #[command(flatten)]
    setting: Setting,
    #[command(subcommand)]
    verb: PermissionsVerb,
}

#[derive(Debug, Subcommand)]
enum PermissionsVerb {
    /// What the app has, and what it lacks.
    Show,
    /// Give it some, by their codes, such as Card.Streaming.Write.
    Grant {
        #[arg(required = true, value_name = "CODE")]
        codes: Vec<String>,
    },
    /// Take some away: calls that need one are refused.
    Revoke {
        #[arg(required = true, value_name = "CODE")]
        codes: Vec<String>,
    },
}

impl Permissions {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let change = match self.verb {
            PermissionsVerb::Show => None,
            PermissionsVerb::Grant { codes } => Some(json!({ "grant": codes })),
            PermissionsVerb::Revoke { codes } => Some(json!({ "revoke": codes })),
        };
        let shown = self.setting.turn("permissions", change).await?;
        if self.setting.json {
            print::json(&shown)?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows = ["granted", "missing"].into_iter().flat_map(|state| {
            let codes = shown[state].as_array().into_iter().flatten();
            codes.map(move |code| json!({ "code": code, "state": state }))
        });
        let columns = [("PERMISSION", "/code"), ("STATE", "/state")];
        print::rows(&rows.collect(), &columns, false)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// End the app's access token before its time.
#[derive(Debug, Args)]
pub(super) struct Token {
    #[command(flatten)]
    of: OfApp,
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum TokenVerb {
    /// Calls with it are refused from now on; the next fetch gives another one.
    Revoke,
}

impl Token {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let TokenVerb::Revoke = self.verb;
        let (client, app) = self.of.find().await?;
        client.delete(client.at(&["apps", &app, "token"])).await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Show or change how strictly the app's calls are read.
#[derive(Debug, Args)]
pub(super) struct Strictness {
    #[command(flatten)]
    setting: Setting,
    #[command(subcommand)]
    verb: StrictnessVerb,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum StrictnessVerb {
    /// Whether the app is treated leniently.
    Show,
    /// Take what only the mock's own strictness refuses, with a remark.
    Lenient,
    /// Refuse it.
    Strict,
}

impl Strictness {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let change = match self.verb {
            StrictnessVerb::Show => None,
            StrictnessVerb::Lenient => Some(json!({ "lenient": true })),
            StrictnessVerb::Strict => Some(json!({ "lenient": false })),
        };
        self.setting.run("strictness", change, &[("LENIENT", "/lenient")]).await
    }
}

/// Show or change how the app's pushes behave.
#[derive(Debug, Args)]
pub(super) struct Delivery {
    #[command(flatten)]
    setting: Setting,
    #[command(subcommand)]
    verb: DeliveryVerb,
}

#[derive(Debug, Subcommand)]
enum DeliveryVerb {
    /// How they behave now.
    Show,
    /// Change it; what was pushed already keeps its fate.
    Set(NewDelivery),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct NewDelivery {
    /// documented, observed-60s or observed-16s.
    #[arg(long)]
    profile: Option<String>,
    /// Whether a frame that comes again has the messageId of the first.
    #[arg(long, value_name = "BOOL")]
    same_message_id: Option<bool>,
    /// How long connections that are gone are still routed to, such as 60s.
    #[arg(long, value_name = "DURATION")]
    ghost_for: Option<String>,
}

impl Delivery {
    pub(super) async fn run(self) -> Result<ExitCode, Exit> {
        let columns = [
            ("PROFILE", "/profile"),
            ("SAMEMESSAGEID", "/sameMessageId"),
            ("GHOSTFORMS", "/ghostForMs"),
        ];
        let change = match self.verb {
            // The call shows what it changes, and takes no change at all.
            DeliveryVerb::Show => json!({}),
            DeliveryVerb::Set(new) => json!({
                "profile": new.profile,
                "sameMessageId": new.same_message_id,
                "ghostFor": new.ghost_for,
            }),
        };
        self.setting.run("delivery", Some(change), &columns).await
    }
}
