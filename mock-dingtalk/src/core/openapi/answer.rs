//! Bodies of answers, in the two conventions of DingTalk's two hosts.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::core::{
    fault::{Action, ErrorBody},
    findings::Rule,
    http::{HTML, HttpAnswer, JSON, Plan},
    ids::Mint,
    journal::Diagnosis,
};

/// An answer before it has its request id.
#[derive(Debug)]
pub(crate) struct Reply {
    status: u16,
    content: Content,
    /// JSON is written as XML.
    xml: bool,
    /// Boxed, since answers travel as errors.
    diagnosis: Option<Box<Diagnosis>>,
}

#[derive(Debug)]
enum Content {
    /// Sent as it is.
    Plain(Value),
    /// An object that gets a `requestid`.
    WithRequestId {
        code: String,
        message: String,
        /// What the app would have to be allowed.
        scopes: Vec<String>,
    },
    /// What an address gets that called too often (KB 0012).
    Blocked,
    Html(String),
    Xml(String),
    File(&'static str, Bytes),
    Empty,
}

impl Reply {
    /// Success.
    pub(crate) fn ok(body: Value) -> Self {
        Self { status: 200, content: Content::Plain(body), xml: false, diagnosis: None }
    }

    /// An error of api.dingtalk.com: a status, and `{code, requestid, message}` (openapi.md 0.1).
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        let content = Content::WithRequestId { code, message, scopes: Vec::new() };
        Self { status, content, xml: false, diagnosis: None }
    }

    /// A file.
    pub(crate) fn file(content_type: &'static str, bytes: Bytes) -> Self {
        Self {
            status: 200,
            content: Content::File(content_type, bytes),
            xml: false,
            diagnosis: None,
        }
    }

    /// An error of the object storage.
    pub(super) fn storage(status: u16, code: &str, message: &str) -> Self {
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\n  <Code>{code}</Code>\n  \
             <Message>{message}</Message>\n</Error>\n"
        );
        Self { status, content: Content::Xml(xml), xml: false, diagnosis: None }
    }

    /// What the object storage says of a file that it has no more.
    pub(super) fn no_such_key(see: &'static str) -> Self {
        let problem = "the file had to make room for younger ones";
        Self::storage(404, "NoSuchKey", "The specified key does not exist.")
            .diagnosed(Diagnosis::new(problem, "fewer files", see))
    }

    /// A load balancer's page.
    pub(crate) fn page(status: u16) -> Self {
        Self { status, content: Content::Html(page(status)), xml: false, diagnosis: None }
    }

    /// An error that names the permissions that are missing (openapi.md 0.1).
    pub(crate) fn denied(status: u16, code: &str, message: &str, scopes: Vec<String>) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        let content = Content::WithRequestId { code, message, scopes };
        Self { status, content, xml: false, diagnosis: None }
    }

    /// The way in which the TOP gateway tells that a token is no good, or lacks a permission:
    /// `errcode` 88 around the code itself (KB 0013; spelled as in a third party's log of probes of 2026-09-11).
    pub(crate) fn wrapped(self, unix_ms: i64) -> Self {
        let Content::Plain(body) = &self.content else { return self };
        let code = body["errcode"].as_i64().unwrap_or_default();
        if !(40_000..50_000).contains(&code) && code != 60_011 {
            return self;
        }
        let (sub_code, sub_msg) = match code {
            41001 => ("40000".to_owned(), "access_token is blank"),
            _ => (code.to_string(), body["errmsg"].as_str().unwrap_or_default()),
        };
        let content = Content::Plain(json!({
            "errcode": 88,
            "sub_code": sub_code,
            "sub_msg": sub_msg,
            "errmsg": format!("ding talk error[subcode={sub_code},submsg={sub_msg}]"),
            "request_id": format!("{unix_ms:x}"),
        }));
        Self { content, ..self }
    }

    /// The same with the `request_id` that every answer of the TOP gateway has.
    pub(crate) fn numbered(mut self, unix_ms: i64) -> Self {
        if let Content::Plain(Value::Object(body)) = &mut self.content {
            body.entry("request_id").or_insert_with(|| format!("{unix_ms:x}").into());
        }
        self
    }

    /// An error of oapi.dingtalk.com: HTTP 200, and `{errcode, errmsg}` (openapi.md 0.2).
    pub(crate) fn errcode(errcode: i64, errmsg: &str) -> Self {
        Self::ok(json!({ "errcode": errcode, "errmsg": errmsg }))
    }

    /// The same with another `downloadUrl`, if it has one.
    pub(crate) fn leading(mut self, elsewhere: impl FnOnce(&str) -> String) -> Self {
        if let Content::Plain(body) = &mut self.content
            && let Some(url) = body.get_mut("downloadUrl")
        {
            *url = elsewhere(url.as_str().unwrap_or_default()).into();
        }
        self
    }

    /// Says what was wrong, beside the body that DingTalk would send.
    pub(crate) fn diagnosed(mut self, diagnosis: Diagnosis) -> Self {
        self.diagnosis = Some(Box::new(diagnosis));
        self
    }

    /// Names the finding that its diagnosis is.
    pub(crate) fn ruled(mut self, rule: Rule) -> Self {
        self.diagnosis = self.diagnosis.map(|diagnosis| Box::new(diagnosis.of(rule)));
        self
    }

    /// Says what could be better, unless something worse was said already.
    pub(crate) fn remarked(mut self, diagnosis: Diagnosis) -> Self {
        self.diagnosis.get_or_insert_with(|| Box::new(diagnosis));
        self
    }

    /// The same with a remark, if there is one.
    pub(super) fn remarked_if(self, diagnosis: Option<Diagnosis>) -> Self {
        match diagnosis {
            Some(diagnosis) => self.remarked(diagnosis),
            None => self,
        }
    }

    /// What was wrong, of a refusal that is not to be sent.
    pub(super) fn into_diagnosis(self) -> Option<Diagnosis> {
        self.diagnosis.map(|diagnosis| *diagnosis)
    }

    /// The same as XML. DingTalk answers so where nobody asks for JSON; how it writes it is not
    /// documented, so that the names of the elements are our choice.
    pub(super) fn into_xml(mut self) -> Self {
        self.xml = true;
        self
    }

    /// What a fault answers, if it answers at all.
    pub(crate) fn of_fault(action: &Action, oapi: bool) -> Option<Self> {
        Some(match action {
            Action::EmptyObject => Self::ok(json!({})),
            Action::Redirect(_) => {
                Self { status: 302, content: Content::Empty, xml: false, diagnosis: None }
            }
            Action::Status(status, ErrorBody::Html) => Self {
                status: *status,
                content: Content::Html(page(*status)),
                xml: false,
                diagnosis: None,
            },
            Action::Status(status, ErrorBody::Blocked) => {
                Self { status: *status, content: Content::Blocked, xml: false, diagnosis: None }
            }
            Action::Status(status, ErrorBody::Empty) => {
                Self { status: *status, content: Content::Empty, xml: false, diagnosis: None }
            }
            Action::Status(status, ErrorBody::Json) if oapi => {
                let busy = json!({ "errcode": -1, "errmsg": "系统繁忙" });
                Self { status: *status, content: Content::Plain(busy), xml: false, diagnosis: None }
            }
            Action::Status(status, ErrorBody::Json) => {
                let (code, message) = match status {
                    400 => ("systemError", "系统错误"),
                    401 => ("authFailed", "鉴权失败"),
                    403 => (
                        "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi",
                        "应用调用该接口的QPS超过上限",
                    ),
                    429 => ("system.busy", "系统繁忙"),
                    _ => ("unknownError", "未知错误"),
                };
                Self::error(*status, code, message)
            }
            Action::Code { code, message, .. } if oapi && code.parse::<i64>().is_ok() => {
                Self::errcode(code.parse().unwrap_or(-1), message)
            }
            Action::Code { status, code, message, required_scopes } => {
                Self::denied(*status, code, message, required_scopes.clone())
            }
            _ => return None,
        })
    }

    /// The answer with its request id.
    pub(crate) fn finish(self, mint: &mut Mint) -> HttpAnswer {
        let request_id = mint.uuid().to_string().to_ascii_uppercase();
        let mut file = None;
        let xml = self.xml;
        let write = |value: Value| {
            if xml { (XML, to_xml(&value)) } else { (JSON, value.to_string()) }
        };
        let (content_type, body) = match self.content {
            Content::Plain(value) => write(value),
            Content::WithRequestId { code, message, scopes } => {
                let mut body = json!({ "code": code, "requestid": request_id, "message": message });
                if !scopes.is_empty() {
                    body["accessdenieddetail"] = json!({ "requiredScopes": scopes });
                }
                write(body)
            }
            Content::Blocked => {
                let uuid = request_id.replace('-', "").to_ascii_lowercase();
                let body = json!({
                    "status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": uuid,
                });
                (JSON, body.to_string())
            }
            Content::Html(page) => (HTML, page),
            Content::Xml(xml) => ("application/xml", xml),
            Content::File(content_type, bytes) => {
                let body = format!("({} bytes of {content_type})", bytes.len());
                file = Some(bytes);
                (content_type, body)
            }
            Content::Empty => (HTML, String::new()),
        };
        HttpAnswer {
            status: self.status,
            content_type,
            body: body.into(),
            file,
            location: None,
            request_id,
            diagnosis: self.diagnosis.map(|diagnosis| *diagnosis),
            plan: Plan::Now,
            owner: None,
        }
    }
}

const XML: &str = "application/xml;charset=utf-8";

/// A JSON value as XML: each member is an element, and each item of a list one of its own.
fn to_xml(value: &Value) -> String {
    fn write(name: &str, value: &Value, xml: &mut String) {
        if let Value::Array(items) = value {
            for item in items {
                write(name, item, xml);
            }
            return;
        }
        let fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let name = if starts && name.chars().all(fit) { name } else { "member" };
        let _ = write!(xml, "<{name}>");
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    write(name, value, xml);
                }
            }
            Value::Null => {}
            Value::String(text) => {
                for c in text.chars() {
                    match c {
                        '<' => xml.push_str("&lt;"),
                        '>' => xml.push_str("&gt;"),
                        '&' => xml.push_str("&amp;"),
                        // XML 1.0 has no way to write the others.
                        c if c.is_control() && !"\t\n\r".contains(c) => xml.push('\u{fffd}'),
                        c => xml.push(c),
                    }
                }
            }
            other => {
                let _ = write!(xml, "{other}");
            }
        }
        let _ = write!(xml, "</{name}>");
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let root = if value.get("code").is_some() { "Error" } else { "Response" };
    write(root, value, &mut xml);
    xml
}

/// A load balancer's page. 400 is the one that clients with a broken proxy setting meet
/// (soimy/openclaw-channel-dingtalk#289).
fn page(status: u16) -> String {
    let (title, detail) = match status {
        400 => ("400 Bad Request", "<p>The plain HTTP request was sent to HTTPS port</p>\n"),
        401 => ("401 Authorization Required", ""),
        403 => ("403 Forbidden", ""),
        404 => ("404 Not Found", ""),
        502 => ("502 Bad Gateway", ""),
        503 => ("503 Service Temporarily Unavailable", ""),
        504 => ("504 Gateway Time-out", ""),
        _ => ("Error", ""),
    };
    format!(
        "<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n{detail}<hr>tengine\n\
         </body>\n</html>\n"
    )
}
