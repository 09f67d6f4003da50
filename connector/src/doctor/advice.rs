//! What to do, in English and Chinese, and on which page of DingTalk's developer console.

use serde_json::{Value, json};

/// The developer console, where the pages of an app are.
pub(super) const CONSOLE: &str = "https://open-dev.dingtalk.com";

/// A page of an app in the developer console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Client ID and Client Secret.
    Credentials,
    /// Permissions, by their codes.
    Permissions,
    /// The robot and how it gets messages.
    Robot,
    /// Versions, and who may see the app.
    Release,
    /// Addresses that may call.
    Security,
}

impl Page {
    fn en(self) -> &'static str {
        match self {
            Self::Credentials => "Credentials & Basic Information",
            Self::Permissions => "Permission Management",
            Self::Robot => "App Capabilities > Robot",
            Self::Release => "Version Management & Release",
            Self::Security => "Security Settings",
        }
    }

    fn zh(self) -> &'static str {
        match self {
            Self::Credentials => "凭证与基础信息",
            Self::Permissions => "权限管理",
            Self::Robot => "应用能力 > 机器人",
            Self::Release => "版本管理与发布",
            Self::Security => "安全设置",
        }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// In English.
    pub en: String,
    /// In Chinese.
    pub zh: String,
    /// Where, if it is done in the developer console.
    pub page: Option<Page>,
    /// Permissions that have to be applied for there.
    pub scopes: Vec<String>,
}

impl Advice {
    /// Something that is done outside of DingTalk.
    pub fn here(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: en.into(), zh: zh.into(), page: None, scopes: Vec::new() }
    }

    /// Something that is done on a page of the app.
    pub(super) fn on(page: Page, en: &str, zh: &str) -> Self {
        Self { page: Some(page), ..Self::here(en, zh) }
    }

    /// Permissions are missing.
    pub(super) fn apply_for(scopes: Vec<String>) -> Self {
        let list = scopes.join(", ");
        let en = format!("apply for the permission {list}, then publish a new version of the app");
        let zh = format!("申请权限 {list}，并发布应用的新版本");
        Self { scopes, ..Self::on(Page::Permissions, &en, &zh) }
    }

    /// The lines a person reads.
    pub(super) fn lines(&self) -> [String; 2] {
        match self.page {
            None => [format!("fix: {}", self.en), format!("修复：{}", self.zh)],
            Some(page) => [
                format!("fix: {}: {} (console page {}, {CONSOLE})", page.en(), self.en, page.zh()),
                format!("修复：开发者后台「{}」：{}", page.zh(), self.zh),
            ],
        }
    }

    pub(super) fn json(&self) -> Value {
        let mut advice = json!({ "en": self.en, "zh": self.zh });
        if let Some(page) = self.page {
            advice["page"] = json!({ "en": page.en(), "zh": page.zh(), "url": CONSOLE });
        }
        if !self.scopes.is_empty() {
            advice["scopes"] = self.scopes.clone().into();
        }
        advice
    }
}
