//! What is checked, and what came of it.

use serde_json::{Value, json};

use super::advice::Advice;

/// One thing that has to be right, in the order they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Environment, flags and config file.
    Settings,
    /// The proxy on the way to a host.
    Proxy,
    /// The host's name.
    Dns,
    /// Its port.
    Tcp,
    /// Its certificate.
    Tls,
    /// An answer.
    Https,
    /// The clock here, against that of the answer.
    Clock,
    /// `oauth2/accessToken`.
    Credentials,
    /// `gateway/connections/open`.
    Open,
    /// The WebSocket.
    WebSocket,
    /// Whether the app may send.
    Send,
    /// Whether the app has a robot.
    RobotCode,
    /// Whether it may fetch files that people send.
    Download,
    /// Whether it may use AI cards.
    Cards,
    /// Whether messages come by the stream.
    StreamMode,
    /// Whether the app is published.
    Published,
    /// Whether people may see the robot.
    Visibility,
}

impl Check {
    /// Every check, in order.
    pub const ALL: [Self; 17] = [
        Self::Settings,
        Self::Proxy,
        Self::Dns,
        Self::Tcp,
        Self::Tls,
        Self::Https,
        Self::Clock,
        Self::Credentials,
        Self::Open,
        Self::WebSocket,
        Self::Send,
        Self::RobotCode,
        Self::Download,
        Self::Cards,
        Self::StreamMode,
        Self::Published,
        Self::Visibility,
    ];

    /// Its name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Proxy => "proxy",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Clock => "clock",
            Self::Credentials => "credentials",
            Self::Open => "open",
            Self::WebSocket => "websocket",
            Self::Send => "send",
            Self::RobotCode => "robotCode",
            Self::Download => "download",
            Self::Cards => "cards",
            Self::StreamMode => "streamMode",
            Self::Published => "published",
            Self::Visibility => "visibility",
        }
    }

    /// What has to have passed before it makes sense; that needs others in its turn.
    pub(super) fn needs(self) -> Option<Self> {
        Some(match self {
            Self::Settings => return None,
            Self::Proxy => Self::Settings,
            Self::Dns => Self::Proxy,
            Self::Tcp => Self::Dns,
            Self::Tls => Self::Tcp,
            Self::Https => Self::Tls,
            Self::Clock | Self::Credentials => Self::Https,
            Self::Open | Self::Send | Self::Cards | Self::StreamMode | Self::Published => {
                Self::Credentials
            }
            Self::WebSocket => Self::Open,
            Self::RobotCode | Self::Download | Self::Visibility => Self::Send,
        })
    }
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is right.
    Pass(String),
    /// The robot works, and something should be mended all the same.
    Warn(Problem),
    /// It is wrong.
    Fail(Problem),
    /// There is nothing to check here.
    Moot(String),
    /// It makes no sense while the named check fails.
    Blocked(Check),
    /// It was not made, for a reason, and this can be done about it.
    Skip(Problem),
}

/// What is wrong, or not known, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What was seen.
    pub what: String,
    /// What to do.
    pub advice: Advice,
}

/// [`Finding`] without its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is right.
    Pass,
    /// It works, and should be mended.
    Warn,
    /// It is wrong.
    Fail,
    /// It is not known.
    Skip,
}

impl Status {
    /// Its name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// One check of one host or account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What was checked.
    pub check: Check,
    /// Of which host or account; empty where there is only one thing to check.
    pub subject: String,
    /// What came of it.
    pub finding: Finding,
}

impl Row {
    /// How it ended.
    pub fn status(&self) -> Status {
        match self.finding {
            Finding::Pass(_) => Status::Pass,
            Finding::Warn(_) => Status::Warn,
            Finding::Fail(_) => Status::Fail,
            Finding::Moot(_) | Finding::Blocked(_) | Finding::Skip(_) => Status::Skip,
        }
    }

    /// What was seen, in one line.
    pub fn detail(&self) -> String {
        match &self.finding {
            Finding::Pass(what) | Finding::Moot(what) => what.clone(),
            Finding::Warn(problem) | Finding::Fail(problem) | Finding::Skip(problem) => {
                problem.what.clone()
            }
            Finding::Blocked(needs) => format!("{} has to pass first", needs.name()),
        }
    }

    /// What to do about it, if anything.
    pub fn advice(&self) -> Option<&Advice> {
        match &self.finding {
            Finding::Warn(problem) | Finding::Fail(problem) | Finding::Skip(problem) => {
                Some(&problem.advice)
            }
            Finding::Pass(_) | Finding::Moot(_) | Finding::Blocked(_) => None,
        }
    }

    /// Lines for people: the check, and below it what to do.
    pub fn lines(&self) -> Vec<String> {
        let (status, check) = (self.status().name(), self.check.name());
        let status = if status == "fail" { "FAIL" } else { status };
        let subject = match self.subject.as_str() {
            "" => String::new(),
            subject => format!("{subject}: "),
        };
        let mut lines = vec![format!("{status}  {check:11}  {subject}{}", self.detail())];
        if let Some(advice) = self.advice() {
            lines.extend(advice.lines().map(|line| format!("      {line}")));
        }
        lines
    }

    /// One object.
    pub fn json(&self) -> Value {
        let mut row = json!({
            "check": self.check.name(),
            "subject": self.subject,
            "status": self.status().name(),
            "detail": self.detail(),
        });
        if let Finding::Blocked(needs) = self.finding {
            row["needs"] = needs.name().into();
        }
        if let Some(advice) = self.advice() {
            row["fix"] = advice.json();
        }
        row
    }
}
