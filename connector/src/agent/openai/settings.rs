//! Which model answers, and where it is.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::config::{self, ConfigError, Environment};
use crate::redact::Secret;

/// Base URL of the endpoint, `https://api.openai.com/v1` if unset. One without a path gets `/v1`.
pub const BASE_URL: &str = "OPENAI_BASE_URL";
/// API key; local servers need none.
pub const API_KEY: &str = "OPENAI_API_KEY";
/// The model.
pub const MODEL: &str = "OPENAI_MODEL";

/// What the agent `openai` needs.
#[derive(Debug, Clone)]
pub struct OpenAiConfig {
    /// What `/chat/completions` and `/models` are appended to.
    pub base_url: Url,
    /// Goes into the `Authorization` header only.
    pub api_key: Option<Secret>,
    /// The model, where a session has chosen no other.
    pub model: String,
    /// What it is told before anything else.
    pub system_prompt: Option<String>,
    /// TLS for an HTTPS endpoint.
    pub tls: Arc<rustls::ClientConfig>,
    /// Whether proxies named by the environment are used.
    pub system_proxy: bool,
    /// How long it may take.
    pub times: Times,
}

/// Limits of one answer; each can be set on the command line, but for that of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Until there is a connection. Default 10 s.
    pub connect: Duration,
    /// Until the answer begins. Default 120 s.
    pub first: Duration,
    /// Between two pieces of it. Default 60 s.
    pub idle: Duration,
    /// All of it. Default 15 min.
    pub total: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(900),
        }
    }
}

/// Where the model is, and which one, from the environment.
pub fn base_url(env: &dyn Environment) -> Result<Url, ConfigError> {
    let mut url = config::endpoint(env, BASE_URL, "https://api.openai.com/v1")?;
    if url.path() == "/" {
        url.set_path("/v1");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// The key, if there is one: printable ASCII, as headers can carry it.
pub fn api_key(env: &dyn Environment) -> Result<Option<Secret>, ConfigError> {
    let key = env.var(API_KEY).map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    if key.as_ref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(ConfigError::Invalid {
            name: API_KEY,
            value: "***".to_owned(),
            problem: "which holds a blank, or a character that no key has".to_owned(),
            fix: "copy the key alone; leave it out where none is needed".to_owned(),
        });
    }
    Ok(key.map(Secret::new))
}

/// The model that answers.
pub fn model(env: &dyn Environment) -> Result<String, ConfigError> {
    config::required(env, MODEL, "set it to the model that answers, such as gpt-4o-mini")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static str);

    impl Environment for Fixed {
        fn var(&self, _: &str) -> Option<String> {
            Some(self.0.to_owned())
        }
    }

    #[test]
    fn a_base_url_may_leave_out_v1() {
        for (value, expected) in [
            ("", "https://api.openai.com/v1"),
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
            ("http://127.0.0.1:11434/", "http://127.0.0.1:11434/v1"),
            ("http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434/v1"),
            (
                "https://model.example/compatible-mode/v1",
                "https://model.example/compatible-mode/v1",
            ),
            ("https://model.example/api/v3", "https://model.example/api/v3"),
        ] {
            assert_eq!(base_url(&Fixed(value)).unwrap().as_str(), expected);
        }
        let message = base_url(&Fixed("model.example")).unwrap_err().to_string();
        assert!(message.starts_with("OPENAI_BASE_URL is \"model.example\""), "{message}");
    }

    #[test]
    fn a_key_may_be_missing_and_a_model_may_not() {
        assert_eq!(api_key(&Fixed(" ")), Ok(None));
        assert_eq!(api_key(&Fixed(" k\n")).unwrap().unwrap().expose(), "k");
        for odd in ["sk-你的key", "sk a", "sk\0a"] {
            let message = api_key(&Fixed(odd)).unwrap_err().to_string();
            assert!(message.starts_with("OPENAI_API_KEY is \"***\", which holds"), "{message}");
        }
        assert!(model(&Fixed("")).unwrap_err().to_string().starts_with("OPENAI_MODEL is not set"));
    }
}
