//! `ddingtalk onboard`, and `channels add` at a terminal: from nothing to a robot that answers, question by
//! question. Nothing is written before the last one is answered.

use serde_json::Value;

use super::access::{StoreFlag, state_dir};
use super::channels;
use super::checkup::{Checkup, Consent, Known};
use super::exit_code::Failure;
use super::output;
use super::setup::{self, NewAccount, place_of};
use super::terminal::{Choice, Terminal};
use crate::config::accounts::DEFAULT;
use crate::config::document::Document;
use crate::doctor::{Report, Status};
use crate::openapi::bare_host;
use crate::redact::Secret;

/// Which questions are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wizard {
    /// The credential alone.
    Add,
    /// Who may talk and who answers, too.
    Onboard,
}

/// What flags have answered already.
pub(super) struct Given {
    pub(super) client_id: Option<String>,
    pub(super) secret: Option<Secret>,
    pub(super) account: Option<String>,
}

/// The whole of it.
pub(super) async fn onboard(args: channels::Add) -> Result<(), Failure> {
    channels::add(args, Wizard::Onboard).await
}

const WELCOME: &str = "\
ddingtalk 连接一个钉钉应用机器人 / connects a DingTalk app robot

准备 / before you begin, on https://open-dev.dingtalk.com (开发者后台, developer console):
  1. 应用开发 → 企业内部应用 → 创建应用 / create an app of your organisation
  2. 应用能力 → 机器人: 消息接收模式选 Stream 模式 / add the capability Robot, message mode Stream
  3. 版本管理与发布: 发布一个版本 / publish a version on Versions
  4. 凭证与基础信息: 复制 Client ID 和 Client Secret / copy both from Credentials
";

const DM_POLICIES: [Choice<'_>; 4] = [
    Choice {
        name: "pairing",
        hint: "陌生人得到配对码，由您批准 / strangers get a code that you approve",
    },
    Choice { name: "allowlist", hint: "只有 allowFrom 里的人 / those in allowFrom only" },
    Choice { name: "open", hint: "组织里所有人 / everybody in the organisation" },
    Choice { name: "disabled", hint: "不接受单聊 / nobody" },
];

const AGENTS: [Choice<'_>; 5] = [
    Choice { name: "echo", hint: "原样回复，用来试 / says what you say, to try it out" },
    Choice {
        name: "openai",
        hint: "OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL 指定的模型 / the model that these variables name",
    },
    Choice { name: "attach", hint: "您自己的程序 / a program of yours, over the agent link" },
    Choice { name: "none", hint: "不回复 / nobody answers" },
    Choice {
        name: "openclaw",
        hint: "OpenClaw 网关，经它的插件 / an OpenClaw gateway, through its plugin",
    },
];

/// After a credential that does not work.
const AGAIN: [Choice<'_>; 2] = [
    Choice { name: "again", hint: "重新输入 / enter it once more" },
    Choice { name: "keep", hint: "照样写入 / write it all the same" },
];

/// After an account that is there.
const REPLACE: [Choice<'_>; 2] = [
    Choice { name: "other", hint: "换一个名字 / give another name" },
    Choice { name: "replace", hint: "替换它的凭证 / give it another credential" },
];

pub(super) async fn run(
    mut terminal: Terminal,
    wizard: Wizard,
    given: Given,
) -> Result<(), Failure> {
    let path = setup::path()?;
    // A file that cannot be edited is named before anything is asked.
    let section = Document::open(&path)?.section();
    let hosts = section["allowHosts"].as_array().into_iter().flatten();
    let hosts: Vec<_> = hosts.filter_map(|host| bare_host(host.as_str()?)).collect();
    let checkup = Checkup::new()?.allowing(&hosts);
    output::note(WELCOME);
    let account = account(&mut terminal, &section, given.account).await?;
    let (mut client_id, mut secret) = (given.client_id, given.secret);
    let mut new = loop {
        let client_id = match client_id.take() {
            Some(id) => id,
            None => terminal.line("Client ID (AppKey)", None).await?,
        };
        let client_secret = match secret.take() {
            Some(secret) => secret,
            None => Secret::new(terminal.secret("Client Secret (AppSecret)").await?),
        };
        let account = account.clone();
        let new = NewAccount { account, client_id, client_secret, others: Vec::new() };
        if works(&checkup, &new).await
            || terminal.choice("凭证不可用，怎么办？ / It does not work. What now?", &AGAIN).await?
                == 1
        {
            break new;
        }
    };
    if wizard == Wizard::Onboard {
        let who = terminal
            .choice("谁可以和机器人单聊？ / Who may talk to it alone?", &DM_POLICIES)
            .await?;
        new.others.push(("dmPolicy", DM_POLICIES[who].name.into()));
        let agent = terminal.choice("谁来回答？ / Who answers?", &AGENTS).await?;
        new.others.push(("agent", AGENTS[agent].name.into()));
    }
    new.put(&path)?;
    // Nobody gets a code under another policy.
    let pairs = new.others.iter().all(|(key, value)| *key != "dmPolicy" || value == "pairing");
    let next = NEXT.lines().filter(|line| pairs || !line.contains(PAIRING));
    next.for_each(output::note);
    Ok(())
}

const PAIRING: &str = "pairing approve";
const NEXT: &str = "
下一步 / next:
  ddingtalk gateway            连接，保持运行 / connects, and stays
  在钉钉里搜索机器人并发一条消息 / find the robot in DingTalk and write to it
  ddingtalk pairing approve …  批准机器人回复的配对码 / let in whoever got a code
  ddingtalk gateway status     看它是否在线 / how it is";

/// The account that is meant: a new one, or one whose credential is to be replaced.
async fn account(
    terminal: &mut Terminal,
    section: &Value,
    given: Option<String>,
) -> Result<String, Failure> {
    let is_there = |name: &str| {
        let place = place_of(name, section);
        let old = place.iter().try_fold(section, |value, key| value.get(*key));
        old.is_some_and(|old| !old["clientId"].is_null())
    };
    let mut given = given.or_else(|| (!is_there(DEFAULT)).then(|| DEFAULT.to_owned()));
    loop {
        let name = match given.take() {
            Some(name) => name,
            None => terminal.line("账号名 / name of the account (a-z, 0-9, - _)", None).await?,
        };
        if !crate::config::keys::is_account_name(&name) {
            output::note("1-32: A-Z a-z 0-9 - _");
            continue;
        }
        let question = format!("账号 {name} 已存在 / the account {name} is there already");
        if !is_there(&name) || terminal.choice(&question, &REPLACE).await? == 1 {
            return Ok(name);
        }
    }
}

/// Tries the credential and what its app may do, and says how that went. What the app lacks besides a
/// connection can be mended later, as it is told.
async fn works(checkup: &Checkup, new: &NewAccount) -> bool {
    output::note("检查 / checking …");
    let known = Known::of(state_dir(None).ok().as_deref(), &StoreFlag::of_environment()).await;
    let mut report = Report::default();
    let (app, credential) = (new.account.as_str(), new.credential());
    checkup.app(&mut report, (app, &credential), &known, Consent::default()).await;
    for row in report.rows().iter().filter(|row| row.status() != Status::Skip) {
        row.lines().iter().for_each(|line| output::note(&format!("  {line}")));
    }
    report.connects()
}
