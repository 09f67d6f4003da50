//! Tries a credential against DingTalk, without sending anything to anybody.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, ProcessEnvironment};
use crate::credential::Credential;
use crate::openapi::{
    CALLS_PER_SECOND, Endpoints, OpenApiClient, OpenApiConfig, OpenApiError, TrustedHosts,
};
use crate::protocol::{RobotCode, RobotMessage, SenderStaffId, Subscription, topic};

use super::exit_code::Failure;
use super::gateway::tls_for;

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tried {
    /// What.
    pub(super) what: &'static str,
    /// Why it does not work, and what to do, where it does not.
    pub(super) problem: Option<String>,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what;
        match &self.problem {
            None => write!(f, "  ok      {what}"),
            Some(problem) => write!(f, "  failed  {what}: {problem}"),
        }
    }
}

impl Tried {
    fn new(what: &'static str, problem: Option<String>) -> Self {
        Self { what, problem }
    }
}

/// Where credentials are tried.
pub(super) struct Prober {
    endpoints: Endpoints,
    tls: Arc<rustls::ClientConfig>,
}

/// Nobody has this userId.
const NOBODY: &str = "ddingtalk-probe-nobody";

impl Prober {
    /// At the hosts that the environment names.
    pub(super) fn new() -> Result<Self, Failure> {
        let endpoints = config::endpoints(&ProcessEnvironment)?;
        let tls = tls_for(&endpoints)?;
        Ok(Self { endpoints, tls })
    }

    fn client(&self, credential: &Credential) -> OpenApiClient {
        OpenApiClient::new(OpenApiConfig {
            endpoints: self.endpoints.clone(),
            credential: credential.clone(),
            trusted: TrustedHosts::new(&self.endpoints, []),
            tls: Arc::clone(&self.tls),
            system_proxy: true,
            timeout: Duration::from_secs(10),
            calls_per_second: CALLS_PER_SECOND,
        })
    }

    /// Whether the app may connect: its access token, and `connections/open`, whose ticket is left to expire.
    pub(super) async fn connection(&self, credential: &Credential) -> Vec<Tried> {
        let client = self.client(credential);
        let token = client.access_token().await.err().map(|e| e.to_string());
        let asked = [Subscription { kind: "CALLBACK", topic: topic::BOT_MESSAGE }];
        let open = client.open_connection(&asked).await.err().map(|e| e.to_string());
        vec![Tried::new("access token", token), Tried::new("Stream connection", open)]
    }

    /// Whether the app's robot may send: a message to nobody is refused for the missing permission, if it is
    /// missing, before anybody is looked for.
    pub(super) async fn sending(&self, credential: &Credential) -> Tried {
        const WHAT: &str = "permission to send";
        let robot = RobotCode::new(credential.client_id.as_str());
        let word = RobotMessage::Text("ddingtalk".to_owned());
        let client = self.client(credential);
        let outcome = client.batch_send(&robot, &[SenderStaffId::new(NOBODY)], &word).await;
        let problem = match outcome {
            Err(e) if e.is_permission_denied() => Some(missing_permission(&e)),
            // No network and the like: that was said. A robot that is not published, or a person that is
            // nobody, is no missing permission.
            _ => None,
        };
        Tried::new(WHAT, problem)
    }
}

fn missing_permission(e: &OpenApiError) -> String {
    format!(
        "{e}; add 企业内机器人发送消息权限 (qyapi_robot_sendmsg) on the app's page 权限管理 (Permissions)"
    )
}
