//! One app: credentials, connection, robot, permissions, and what only its people can show.

use tracing::debug;
use url::Url;

use super::advice::{Advice, Page};
use super::check::{Check, Finding, Problem};
use super::report::Report;
use super::witness::Witness;
use crate::gateway::push::Target;
use crate::openapi::card::{CardFrame, CardStage};
use crate::openapi::{OpenApiClient, OpenApiError};
use crate::protocol::{
    Endpoint, ProcessQueryKey, RobotCode, RobotMessage, SenderStaffId, Subscription,
};
use crate::stream::OpenFailure;
use crate::stream::transport::{ConnectError, TransportConfig, try_out};
use crate::unix_time::in_china;

/// What is asked for an account.
#[derive(Debug)]
pub struct Probe<'a> {
    /// Its name.
    pub account: &'a str,
    /// Calls in its name.
    pub client: &'a OpenApiClient,
    /// The API host.
    pub base: &'a Url,
    /// How the WebSocket is made.
    pub transport: &'a TransportConfig,
    /// What is known already.
    pub witness: Witness,
    /// Whether a connection may be made, if none is known to stand.
    pub connects: bool,
    /// To whom a test message goes, if to anybody.
    pub send_to: Option<&'a Target>,
}

/// A test message, which `send_to` asks for.
const TEST_MESSAGE: &str = "ddingtalk doctor：测试消息，无需回复。\nddingtalk doctor: a test message; no answer is needed.";

/// What a topic is that brings nothing to this connection: a robot without an AI plugin gets no such
/// callbacks, and the gateway pushes only what a connection has asked for.
const QUIET: Subscription = Subscription { kind: "CALLBACK", topic: "/v1.0/graph/api/invoke" };

/// Names nothing, so that whatever is asked about it is refused.
const NOTHING: &str = "ddingtalk-doctor";

/// What is needed to send messages and to fetch files (KB 0714, 0719).
const SEND_SCOPE: &str = "qyapi_robot_sendmsg";

/// How a question to an API that must be refused was answered.
#[derive(Debug)]
pub enum Told {
    /// It was refused for what was in it, so that the app may ask.
    May(String),
    /// The app lacks permissions.
    Lacks(Vec<String>, String),
    /// There is no such robot.
    NoRobot(String),
    /// This machine's address may not call.
    Address(String),
    /// A limit is reached: nothing can be said.
    Limit(String),
    /// It went wrong in another way.
    Broken(String),
}

impl Told {
    fn of<T>(outcome: Result<T, OpenApiError>, scope: &str) -> Self {
        let Err(e) = outcome else {
            return Self::May("DingTalk took the question".to_owned());
        };
        let said = e.to_string();
        let code = e.code();
        if e.is_quota_gone() || e.is_too_fast() {
            return Self::Limit(said);
        }
        if code.contains("IpNotInWhiteList") {
            return Self::Address(said);
        }
        if e.is_permission_denied() {
            let scopes = e.required_scopes();
            let scopes = if scopes.is_empty() { vec![scope.to_owned()] } else { scopes };
            return Self::Lacks(scopes, said);
        }
        let no_robot = code == "resource.not.found"
            || code == "robot.oto.notExist"
            || code == "chatbotId.notAllow.sendOTO"
            || ["notExsit", "notExist", "invalid", "auth"]
                .iter()
                .any(|end| code == format!("invalidParameter.robotCode.{end}"));
        if no_robot {
            return Self::NoRobot(said);
        }
        match e {
            OpenApiError::Status { status: 400..=499, .. } => Self::May(format!(
                "DingTalk refused the question for what was in it ({code}), as it should"
            )),
            _ => Self::Broken(said),
        }
    }

    fn finding(self) -> Finding {
        match self {
            Self::May(what) => Finding::Pass(what),
            Self::Lacks(scopes, what) => {
                Finding::Fail(Problem { what, advice: Advice::apply_for(scopes) })
            }
            Self::NoRobot(what) => Finding::Fail(Problem { what, advice: no_robot() }),
            Self::Address(what) => Finding::Fail(Problem { what, advice: address() }),
            Self::Limit(what) => Finding::Skip(Problem { what, advice: limit() }),
            Self::Broken(what) => Finding::Fail(Problem { what, advice: again() }),
        }
    }

    /// Of something that can be done without.
    fn mild(self) -> Finding {
        match self.finding() {
            Finding::Fail(problem) => Finding::Warn(problem),
            finding => finding,
        }
    }
}

/// Asks all there is to ask for an account.
pub async fn examine(report: &mut Report, probe: &Probe<'_>) {
    let host = probe.base.host_str().unwrap_or_default();
    let mut examination = Examination { report, account: probe.account, host };
    let robot = RobotCode::new(probe.client.credential().client_id.as_str());
    let step = &mut examination;
    step.ask(Check::Credentials, async || credentials(probe.client).await).await;
    let mut endpoint = None;
    step.ask(Check::Open, async || open(probe, &mut endpoint).await).await;
    step.ask(Check::WebSocket, async || websocket(probe, endpoint).await).await;
    step.ask(Check::Send, async || {
        let nothing = RobotMessage::Text(TEST_MESSAGE.to_owned());
        match Told::of(probe.client.batch_send(&robot, &[], &nothing).await, SEND_SCOPE) {
            // That is the next check's.
            Told::NoRobot(_) => Finding::Pass("the permission is there".to_owned()),
            told => told.finding(),
        }
    })
    .await;
    step.ask(Check::RobotCode, async || {
        let key = ProcessQueryKey::new(NOTHING);
        match Told::of(probe.client.read_status(&robot, &key).await, SEND_SCOPE) {
            Told::May(_) => Finding::Pass(format!("{} is the app's robot", robot.as_str())),
            told => told.finding(),
        }
    })
    .await;
    step.ask(Check::Download, async || {
        match Told::of(probe.client.message_file_url(&robot, NOTHING).await, SEND_SCOPE) {
            Told::NoRobot(_) => Finding::Blocked(Check::RobotCode),
            told => told.finding(),
        }
    })
    .await;
    step.ask(Check::Cards, async || cards(probe.client).await).await;
    step.ask(Check::StreamMode, async || stream_mode(&probe.witness)).await;
    step.ask(Check::Published, async || published(&probe.witness)).await;
    step.ask(Check::Visibility, async || visibility(probe, &robot).await).await;
}

struct Examination<'a> {
    report: &'a mut Report,
    account: &'a str,
    host: &'a str,
}

impl Examination<'_> {
    async fn ask(&mut self, check: Check, ask: impl AsyncFnOnce() -> Finding) {
        let finding = match self.report.blocker(check, self.account, self.host) {
            Some(blocker) => Finding::Blocked(blocker),
            None => ask().await,
        };
        debug!(check = check.name(), account = self.account, "checked");
        self.report.add(check, self.account, finding);
    }
}

fn fail(what: impl Into<String>, advice: Advice) -> Finding {
    Finding::Fail(Problem { what: what.into(), advice })
}

fn again() -> Advice {
    let en = "see whether a proxy or firewall answers in DingTalk's place; a busy DingTalk answers again soon";
    Advice::here(en, "检查是否有代理或防火墙代替钉钉应答；若是钉钉繁忙，稍后再试")
}

fn limit() -> Advice {
    let en =
        "ask again later; for the monthly quota (调用量) see the admin console of the organisation";
    Advice::here(en, "稍后再试；每月调用量请在企业管理后台查看")
}

fn address() -> Advice {
    let en = "add this machine's public address to the list 服务器出口IP, or empty the list";
    Advice::on(Page::Security, en, "把本机公网 IP 加入「服务器出口IP」，或清空该列表")
}

fn no_robot() -> Advice {
    let en = "add the capability robot (机器人) to the app, choose Stream mode, and publish a version; the robot's code is \
              the Client ID";
    let zh =
        "为应用添加「机器人」能力，消息接收模式选 Stream 模式，并发布版本；robotCode 即 Client ID";
    Advice::on(Page::Robot, en, zh)
}

fn secret(place: &str) -> Advice {
    let en = format!(
        "copy Client ID (AppKey) and Client Secret (AppSecret) again into {place}, without blanks, and see that \
         the app is enabled"
    );
    let zh = format!(
        "重新复制 Client ID（AppKey）和 Client Secret（AppSecret）到 {place}，不要带空格，并确认应用已启用"
    );
    Advice::on(Page::Credentials, &en, &zh)
}

async fn credentials(client: &OpenApiClient) -> Finding {
    let credential = client.credential();
    match client.access_token().await {
        Ok(_) => Finding::Pass(format!("clientId {} has an access token", credential.client_id)),
        Err(e) if e.code().contains("IpNotInWhiteList") => fail(e.to_string(), address()),
        Err(e) if e.is_too_fast() || e.is_quota_gone() => fail(e.to_string(), limit()),
        Err(e @ OpenApiError::Status { status: 400..=499, .. }) if !e.code().is_empty() => {
            fail(e.to_string(), secret(&credential.place))
        }
        Err(e) => fail(e.to_string(), again()),
    }
}

async fn open(probe: &Probe<'_>, endpoint: &mut Option<Endpoint>) -> Finding {
    if let Some(finding) = not_tried(probe) {
        return finding;
    }
    match probe.client.open_connection(&[QUIET]).await {
        Ok(given) => {
            let host = given.url().host_str().unwrap_or_default().to_owned();
            *endpoint = Some(given);
            Finding::Pass(format!("DingTalk gave a ticket for {host}"))
        }
        Err(OpenFailure::Refused { reason }) => {
            fail(reason, secret(&probe.client.credential().place))
        }
        Err(OpenFailure::Transient { reason, .. }) => fail(reason, again()),
    }
}

/// What stands instead of a try.
fn not_tried(probe: &Probe<'_>) -> Option<Finding> {
    if let Some(since) = probe.witness.connected_since {
        let since = in_china(since);
        let what = format!("the running gateway has been connected since {since} (UTC+8)");
        return Some(Finding::Pass(what));
    }
    (!probe.connects).then(|| {
        let advice = Advice::here("leave out --no-connect", "去掉 --no-connect");
        Finding::Skip(Problem { what: "--no-connect was given".to_owned(), advice })
    })
}

async fn websocket(probe: &Probe<'_>, endpoint: Option<Endpoint>) -> Finding {
    let Some(endpoint) = endpoint else {
        return not_tried(probe).unwrap_or(Finding::Blocked(Check::Open));
    };
    let host = endpoint.url().host_str().unwrap_or_default().to_owned();
    let e = match try_out(&endpoint, probe.transport).await {
        Ok(()) => {
            return Finding::Pass(format!("{host} took the connection, which was closed at once"));
        }
        Err(e) => e,
    };
    let advice = if let ConnectError::Refused { .. } = &e {
        let en = "let proxies and firewalls pass WebSockets (Upgrade) to wss-open-connection*.dingtalk.com:443; \
                      without one between, try again: tickets live for 90 s";
        let zh = "让代理和防火墙放行到 wss-open-connection*.dingtalk.com:443 的 WebSocket（Upgrade）；若中间没有代理，请重试：ticket 有效期 90 秒";
        Advice::here(en, zh)
    } else {
        let en = "let this machine reach wss-open-connection*.dingtalk.com on port 443, by the same proxy as HTTPS";
        Advice::here(
            en,
            "放行本机到 wss-open-connection*.dingtalk.com 443 端口的访问，并与 HTTPS 使用同一代理",
        )
    };
    fail(e.to_string(), advice)
}

/// Both permissions; without them answers are messages.
async fn cards(client: &OpenApiClient) -> Finding {
    let frame = CardFrame { guid: NOTHING, key: NOTHING, content: "", stage: CardStage::Finished };
    let written = client.update_card(NOTHING, NOTHING, "", CardStage::Finished).await;
    let streamed = client.stream_card(NOTHING, &frame).await;
    let told = [(written, "Card.Instance.Write"), (streamed, "Card.Streaming.Write")]
        .map(|(outcome, scope)| Told::of(outcome, scope));
    match told {
        [Told::Lacks(mut scopes, what), Told::Lacks(more, _)] => {
            scopes.extend(more);
            Told::Lacks(scopes, what).mild()
        }
        [Told::May(_), told] | [told, _] => told.mild(),
    }
}

fn stream_mode(witness: &Witness) -> Finding {
    if let Some(newest) = &witness.newest {
        let at = in_china(newest.received_at);
        return Finding::Pass(format!("a message came by the stream at {at} (UTC+8)"));
    }
    let en = "no API tells; see that 消息接收模式 is Stream, run `ddingtalk gateway`, and write to the robot";
    let zh = "没有接口可查询：确认「消息接收模式」为 Stream 模式，运行 `ddingtalk gateway`，再给机器人发一条消息";
    let what = "no message has come yet".to_owned();
    Finding::Skip(Problem { what, advice: Advice::on(Page::Robot, en, zh) })
}

fn published(witness: &Witness) -> Finding {
    let publish = || {
        let en = "publish a version of the app; until then people have no userId, and nobody can be written to";
        Advice::on(Page::Release, en, "发布应用版本；未发布前消息不带 userId，也无法主动发消息")
    };
    match witness.writer_has_id() {
        Some(true) => Finding::Pass("people who write have a userId".to_owned()),
        Some(false) => fail("the newest message, of a colleague, has no senderStaffId", publish()),
        None => {
            let what = "no message has come yet that would show it".to_owned();
            Finding::Skip(Problem { what, advice: publish() })
        }
    }
}

async fn visibility(probe: &Probe<'_>, robot: &RobotCode) -> Finding {
    let range = |en: &str, zh: &str| Advice::on(Page::Release, en, zh);
    let Some(to) = probe.send_to else {
        let en = "no API tells; see that 可见范围 has the people who are to write, and try one with --send-to user:STAFFID";
        let zh = "没有接口可查询：确认「可见范围」包含要使用机器人的人，并用 --send-to user:工号 试发一条";
        let what = "nobody was named to try it with".to_owned();
        return Finding::Skip(Problem { what, advice: range(en, zh) });
    };
    let message = RobotMessage::Text(TEST_MESSAGE.to_owned());
    let told = match to {
        Target::User(user) => {
            let users: &[SenderStaffId] = std::slice::from_ref(user);
            match probe.client.batch_send(robot, users, &message).await {
                Ok(result) if !result.invalid_staff_ids.is_empty() => {
                    let en = "put the person into 可见范围, and see that the userId is right";
                    let zh = "把该成员加入「可见范围」，并确认 userId 无误";
                    let what = format!(
                        "DingTalk knows no {to} who may see the robot (invalidStaffIdList)"
                    );
                    return fail(what, range(en, zh));
                }
                Ok(result) if !result.flow_controlled_staff_ids.is_empty() => {
                    let what = format!("{to} has had too much for now (flowControlledStaffIdList)");
                    return Finding::Skip(Problem { what, advice: limit() });
                }
                outcome => outcome.map(drop),
            }
        }
        Target::Chat(chat) => probe.client.group_send(robot, chat, &message).await.map(drop),
    };
    match told {
        Ok(()) => Finding::Pass(format!("{to} got a test message")),
        Err(e) => match Told::of(Err::<(), _>(e), SEND_SCOPE) {
            // It should have been taken.
            Told::May(what) => {
                let en = "see that the robot is in the group, and that the id is right";
                fail(what, range(en, "确认机器人在该群中，且 ID 无误"))
            }
            told => told.finding(),
        },
    }
}
