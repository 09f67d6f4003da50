//! What the OpenClaw plugin says of itself, against the program. How it behaves is in `tests/openclaw.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn plugin(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("openclaw-plugin").join(file)
}

fn json(file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(plugin(file)).unwrap()).unwrap()
}

/// The settings that the program reads, without those that are OpenClaw's own.
fn is_ours(setting: &Value) -> bool {
    !setting["description"].as_str().unwrap().starts_with("OpenClaw's own")
}

/// `UPDATE_MANIFEST=1` writes it instead.
#[test]
fn the_manifest_has_the_programs_schema() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddingtalk"));
    let output = command.args(["config", "schema"]).output().unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut manifest = json("openclaw.plugin.json");
    let channel = &mut manifest["channelConfigs"]["ddingtalk"];
    if std::env::var("UPDATE_MANIFEST").is_ok_and(|set| set == "1") {
        channel["schema"] = schema.clone();
        let text = format!("{manifest:#}\n");
        std::fs::write(plugin("openclaw.plugin.json"), text).unwrap();
        return;
    }
    assert_eq!(
        channel["schema"], schema,
        "the settings have changed; write them into the plugin's manifest with: \
         UPDATE_MANIFEST=1 cargo test -p dingtalk-connector --test it plugin"
    );
}

#[test]
fn every_setting_has_a_label_and_the_secret_is_hidden() {
    let manifest = json("openclaw.plugin.json");
    let channel = &manifest["channelConfigs"]["ddingtalk"];
    let hints = &channel["uiHints"];
    for (name, setting) in channel["schema"]["properties"].as_object().unwrap() {
        let label = hints[name]["label"].as_str().unwrap_or_default();
        assert_eq!(!label.is_empty(), is_ours(setting), "{name}");
    }
    for secret in ["clientSecret", "accounts.*.clientSecret", "store"] {
        assert_eq!(hints[secret]["sensitive"], true, "{secret}");
    }
    let sensitive = hints.as_object().unwrap().values().filter(|hint| hint["sensitive"] == true);
    assert_eq!(sensitive.count(), 3);
}

#[test]
fn the_package_has_the_programs_version_and_the_manifests_channel() {
    let (package, manifest) = (json("package.json"), json("openclaw.plugin.json"));
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(package["openclaw"]["channel"]["id"], manifest["channels"][0]);
    for file in package["files"].as_array().unwrap() {
        let file = file.as_str().unwrap();
        // The program comes in when a package is made.
        assert!(file == "bin" || plugin(file).exists(), "{file} is not there");
    }
}

#[test]
fn the_plugin_stays_thin() {
    let folders = [plugin(""), plugin("src")];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = entries.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "js"));
    let text: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let is_code = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with("//") && !line.starts_with("/**")
    };
    let count = text.lines().filter(is_code).count();
    assert!(count > 100 && count <= 500, "{count} lines of JavaScript; logic belongs to Rust");
}
