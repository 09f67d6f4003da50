//! `ddingtalk config` and `ddingtalk channels`: what a script sees of them.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{World, program, transcript};

/// A folder with a config file, or without one.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(text: &str) -> Self {
        let home = Self::new();
        std::fs::write(home.file(), text).unwrap();
        std::fs::set_permissions(home.file(), PermissionsExt::from_mode(0o600)).unwrap();
        home
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("openclaw.json")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.args(args).env("OPENCLAW_STATE_DIR", self.0.path());
        command
    }

    fn told(&self, args: &[&str]) -> String {
        let text = transcript(&mut self.command(args));
        text.replace(&self.0.path().display().to_string(), "DIR")
    }
}

const COMMENTED: &str = "\
// Our robots.
{
  channels: {
    ddingtalk: {
      clientId: 'dingA', // of the company
      clientSecret: '${SECRET}',
      colour: 'red', /* not known */
      dmPolicy: \"pairing\",
    },
  },
}
";

#[test]
fn a_setting_is_changed_and_the_rest_of_the_file_stays() {
    let home = Home::with(COMMENTED);
    insta::assert_snapshot!(home.told(&["config", "set", "dmPolicy", "allowlist"]), @r"
    exit code: 0
    --- stdout
    set: channels.ddingtalk.dmPolicy in DIR/openclaw.json
    --- stderr
    warning: the settings do not hold yet: channels.ddingtalk.clientSecret in DIR/openclaw.json is ***, and must be made of variables that are set, which SECRET is not; export it
    ");
    let with_secret = |args: &[&str]| {
        let text = transcript(home.command(args).env("SECRET", "s3cr3t"));
        text.replace(&home.0.path().display().to_string(), "DIR")
    };
    insta::assert_snapshot!(with_secret(&["config", "set", "allowFrom", "['user01', 007]"]), @r#"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.allowFrom is to be "['user01', 007]", and must be a list of ids in quotes, such as ["user01"]
    "#);
    insta::assert_snapshot!(with_secret(&["config", "set", "allowFrom", "['user01']"]), @r"
    exit code: 0
    --- stdout
    set: channels.ddingtalk.allowFrom in DIR/openclaw.json
    --- stderr
    warning: channels.ddingtalk.colour in DIR/openclaw.json is not known; it is ignored
    ");
    insta::assert_snapshot!(with_secret(&["config", "set", "groups.cidA.b==.requireMention", "false"]), @r"
    exit code: 0
    --- stdout
    set: channels.ddingtalk.groups.cidA.b==.requireMention in DIR/openclaw.json
    --- stderr
    warning: channels.ddingtalk.colour in DIR/openclaw.json is not known; it is ignored
    ");
    insta::assert_snapshot!(home.text(), @r#"
    // Our robots.
    {
      channels: {
        ddingtalk: {
          clientId: 'dingA', // of the company
          clientSecret: '${SECRET}',
          colour: 'red', /* not known */
          dmPolicy: "allowlist",
          allowFrom: ["user01"],
          groups: {
            "cidA.b==": {
              requireMention: false,
            },
          },
        },
      },
    }
    "#);
    insta::assert_snapshot!(with_secret(&["config", "unset", "colour"]), @r"
    exit code: 0
    --- stdout
    unset: channels.ddingtalk.colour in DIR/openclaw.json
    --- stderr
    ");
    insta::assert_snapshot!(with_secret(&["config", "unset", "colour"]), @r#"
    exit code: 1
    --- stdout
    --- stderr
    error: "colour" is not set in channels.ddingtalk of DIR/openclaw.json; `ddingtalk config get` prints what is
    "#);
    assert_eq!(
        with_secret(&["config", "get", "groups"]),
        "exit code: 0\n--- stdout\n{\"cidA.b==\":{\"requireMention\":false}}\n--- stderr\n"
    );
}

#[test]
fn what_cannot_be_set_is_answered_with_what_can() {
    let home = Home::with(COMMENTED);
    insta::assert_snapshot!(home.told(&["config", "set", "dmPolcy", "open"]), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: dmPolcy is not known; did you mean dmPolicy?
    ");
    insta::assert_snapshot!(home.told(&["config", "set", "dmPolicy", "opn"]), @r#"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.dmPolicy is to be "opn", and must be one of pairing, allowlist, open, disabled
    "#);
    insta::assert_snapshot!(home.told(&["config", "set", "clientSecret", "  "]), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.clientSecret is to be ***, and must be a text in quotes
    ");
    insta::assert_snapshot!(home.told(&["config", "set", "accounts.sales", "{ enabled: 1 }"]), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.accounts.sales is to be an object, and must be an object whose enabled is true or false
    ");
    assert_eq!(home.text(), COMMENTED);
}

#[test]
fn what_an_included_file_has_is_not_changed_here() {
    let home = Home::with("{ channels: { ddingtalk: { $include: 'robot.json5' } } }");
    std::fs::write(home.0.path().join("robot.json5"), "{ clientId: 'dingA', clientSecret: 's' }")
        .unwrap();
    insta::assert_snapshot!(home.told(&["config", "set", "clientId", "dingB"]), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.clientId comes from DIR/robot.json5, which DIR/openclaw.json includes; edit it there
    ");
    insta::assert_snapshot!(home.text(), @"{ channels: { ddingtalk: { $include: 'robot.json5' } } }");
}

#[test]
fn settings_that_do_not_hold_are_named_with_a_remedy() {
    let app = "clientId: 'dingA', clientSecret: 's3cr3t',";
    let validate = |section: &str| {
        let home = Home::with(&format!("{{ channels: {{ ddingtalk: {{ {section} }} }} }}"));
        home.told(&["config", "validate"])
    };
    // Syntax.
    insta::assert_snapshot!(validate(&format!("{app} dmPolicy: 'open' agent: 'echo'")), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: the config file DIR/openclaw.json is no JSON5 in line 1, column 88: expected comma; correct it, or name another one in OPENCLAW_CONFIG_PATH
    ");
    // An unknown key.
    insta::assert_snapshot!(validate(&format!("{app} dmPolcy: 'open'")), @r"
    exit code: 0
    --- stdout
    valid: DIR/openclaw.json (accounts: default)
    --- stderr
    warning: channels.ddingtalk.dmPolcy in DIR/openclaw.json is not known; did you mean dmPolicy?
    ");
    // A wrong type.
    insta::assert_snapshot!(validate(&format!("{app} allowFrom: 'user01'")), @r#"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.allowFrom in DIR/openclaw.json is "user01", and must be a list of ids in quotes, such as ["user01"]
    "#);
    // A missing variable, and a missing setting.
    insta::assert_snapshot!(validate("clientId: 'dingA', clientSecret: '${NOT_SET}'").lines().last().unwrap(), @"error: channels.ddingtalk.clientSecret in DIR/openclaw.json is ***, and must be made of variables that are set, which NOT_SET is not; export it");
    insta::assert_snapshot!(validate("clientId: 'dingA'"), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.clientSecret is missing in DIR/openclaw.json; add it
    ");
    insta::assert_snapshot!(Home::with("").told(&["config", "validate"]), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: the config file DIR/openclaw.json is no JSON5: EOF parsing value; correct it, or name another one in OPENCLAW_CONFIG_PATH
    ");
    insta::assert_snapshot!(Home::new().told(&["config", "validate"]), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: DINGTALK_CLIENT_ID is not set; set it to the Client ID (AppKey) from the app's page 凭证与基础信息 (Credentials), or run `ddingtalk onboard`
    ");
}

#[test]
fn the_schema_describes_every_key() {
    let output = Home::new().command(&["config", "schema"]).output().unwrap();
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    insta::assert_json_snapshot!(schema["properties"]["dmPolicy"], @r#"
    {
      "default": "pairing",
      "description": "Who may talk to the robot alone.",
      "enum": [
        "pairing",
        "allowlist",
        "open",
        "disabled"
      ]
    }
    "#);
    insta::assert_json_snapshot!(schema["properties"]["rateLimit"], @r#"
    {
      "description": "So many messages of one person in so many seconds.",
      "properties": {
        "messages": {
          "description": "How many messages.",
          "maximum": 4294967295,
          "minimum": 1,
          "type": "integer"
        },
        "seconds": {
          "description": "In how many seconds.",
          "maximum": 4294967295,
          "minimum": 1,
          "type": "integer"
        }
      },
      "required": [
        "messages",
        "seconds"
      ],
      "type": "object"
    }
    "#);
    let accounts = &schema["properties"]["accounts"];
    assert_eq!(accounts["propertyNames"]["pattern"], "^[A-Za-z0-9_-]{1,32}$");
    let properties = |value: &Value| value["properties"].as_object().unwrap().len();
    // Accounts have none of their own, no listener, and no store.
    assert_eq!(properties(&schema), properties(&accounts["additionalProperties"]) + 3);
}

#[test]
fn a_robot_is_added_listed_and_removed_by_a_script() {
    let home = Home::new();
    insta::assert_snapshot!(home.told(&["channels", "add", "--client-id", "dingA", "--client-secret", "s3cr3t", "--non-interactive"]), @r"
    exit code: 0
    --- stdout
    added: account default (dingA) in DIR/openclaw.json
    --- stderr
    next: `ddingtalk channels status --probe` tries it, `ddingtalk gateway` runs it
    ");
    insta::assert_snapshot!(home.text(), @r#"
    {
      channels: {
        ddingtalk: {
          enabled: true,
          clientId: "dingA",
          clientSecret: "s3cr3t",
        },
      },
    }
    "#);
    assert_eq!(home.file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let mut add = home.command(&[
        "channels",
        "add",
        "--account",
        "sales",
        "--client-id",
        "dingB",
        "--client-secret-file",
        "-",
    ]);
    let mut child =
        add.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"  other${X}\n").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(home.text().contains("\"other$${X}\""), "{}", home.text());
    insta::assert_snapshot!(home.told(&["channels", "list"]), @r"
    exit code: 0
    --- stdout
    default (dingA): dmPolicy pairing, groupPolicy allowlist
    sales (dingB): dmPolicy pairing, groupPolicy allowlist
    --- stderr
    ");
    insta::assert_snapshot!(home.told(&["channels", "list", "--json"]), @r#"
    exit code: 0
    --- stdout
    [{"account":"default","agent":null,"clientId":"dingA","dmPolicy":"pairing","enabled":true,"groupPolicy":"allowlist"},{"account":"sales","agent":null,"clientId":"dingB","dmPolicy":"pairing","enabled":true,"groupPolicy":"allowlist"}]
    --- stderr
    "#);
    insta::assert_snapshot!(home.told(&["channels", "remove"]), @r"
    exit code: 0
    --- stdout
    removed: account default from DIR/openclaw.json
    --- stderr
    a gateway that runs with this file stops its robot within a few seconds
    ");
    insta::assert_snapshot!(home.told(&["channels", "remove"]), @r#"
    exit code: 1
    --- stdout
    --- stderr
    error: there is no account "default" in DIR/openclaw.json; `ddingtalk channels list` names those that are
    "#);
    insta::assert_snapshot!(home.told(&["channels", "list"]), @r"
    exit code: 0
    --- stdout
    sales (dingB): dmPolicy pairing, groupPolicy allowlist
    --- stderr
    ");
}

#[test]
fn what_a_script_leaves_out_is_named() {
    let home = Home::new();
    insta::assert_snapshot!(home.told(&["channels", "add"]), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: --client-id is missing; give it, or run this in a terminal, where it is asked for
    ");
    insta::assert_snapshot!(home.told(&["onboard", "--non-interactive", "--client-id", "dingA"]), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: --client-secret or --client-secret-file is missing; give it, or run this in a terminal, where it is asked for
    ");
    insta::assert_snapshot!(home.told(&["channels", "add", "--client-id", "x", "--client-secret-file", "/nowhere"]), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: --client-secret-file /nowhere cannot be read: No such file or directory (os error 2); name a text file, or - for standard input
    ");
    insta::assert_snapshot!(home.told(&["channels", "add", "--client-id", "x", "--client-secret", "y", "--account", "a.b"]), @r#"
    exit code: 10
    --- stdout
    --- stderr
    error: the account is named "a.b"; give it 1 to 32 letters, digits, - and _
    "#);
    assert!(!home.file().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_tells_whether_the_credential_works() {
    let world = World::new().await;
    let probe = |json: &[&str]| {
        let mut command = program();
        command.args(["channels", "status", "--probe"]).args(json);
        command.env("OPENCLAW_STATE_DIR", world.dir.path());
        command.env("DINGTALK_OPENAPI_ENDPOINT", world.mock.url());
        command.env("DINGTALK_OAPI_ENDPOINT", world.mock.url());
        let text = transcript(&mut command);
        let text = text.replace(&world.dir.path().display().to_string(), "DIR");
        text.replace(world.app.client_id(), "dingA")
    };
    let section =
        |secret: &str| json!({ "clientId": world.app.client_id(), "clientSecret": secret });
    world.configure(&section(world.app.client_secret()));
    let good = probe(&["--json"]);
    assert!(good.starts_with("exit code: 0\n"), "{good}");
    for check in ["credentials", "websocket", "download"] {
        assert!(good.contains(&format!(r#"{{"check":"{check}","#)), "{check}: {good}");
    }
    assert!(!good.contains(r#""status":"fail""#), "{good}");
    world.configure(&section("wrong"));
    let bad = probe(&[]);
    assert!(bad.starts_with("exit code: 1\n"), "{bad}");
    assert!(bad.contains("  FAIL  credentials  default: "), "{bad}");
    assert!(bad.contains("into channels.ddingtalk.clientId in DIR/openclaw.json"), "{bad}");
    assert!(!bad.contains("wrong"), "{bad}");
    // With a gateway that runs.
    let running = world.start_configured(&section(world.app.client_secret()));
    running.wait_log("connected to the gateway", 1).await;
    assert!(probe(&[]).contains("default (dingA): connected\n  pass  credentials  default: "));
}

#[test]
fn completion_and_version_say_what_they_are_of() {
    for (shell, part) in
        [("bash", "_ddingtalk()"), ("zsh", "#compdef ddingtalk"), ("fish", "complete -c ddingtalk")]
    {
        let output = program().args(["completion", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains(part) && script.contains("pairing"), "{shell}: {script:.300}");
    }
    let text =
        |flag: &str| String::from_utf8(program().arg(flag).output().unwrap().stdout).unwrap();
    assert_eq!(text("-V"), format!("ddingtalk {}\n", env!("CARGO_PKG_VERSION")));
    let long = text("--version");
    for fact in ["\ncommit: ", "\nrustc: 1.", "\ntarget: ", "\nfeatures: dev"] {
        assert!(long.contains(fact), "{long}");
    }
}

#[test]
fn the_units_words_are_those_of_the_program() {
    let unit = include_str!("../../packaging/ddingtalk.service");
    for line in [
        "Type=notify",
        "ExecStart=/usr/local/bin/ddingtalk gateway",
        "RestartPreventExitStatus=2 10",
    ] {
        assert!(unit.lines().any(|it| it == line), "{line}");
    }
}

const UNREAD: &str = "warning: channels.ddingtalk of DIR/openclaw.json is not read, since DINGTALK_CLIENT_ID and \
                      DINGTALK_CLIENT_SECRET are set; unset them, or set \
                      OPENCLAW_CONFIG_PATH=DIR/openclaw.json for its other settings\n";

#[test]
fn a_file_that_the_environment_leaves_unread_is_told_of() {
    let home = Home::with("{ channels: { ddingtalk: { dmPolicy: 'open' } } }");
    let told = |args: &[&str]| {
        let mut command = home.command(args);
        command.env("DINGTALK_CLIENT_ID", "dingE").env("DINGTALK_CLIENT_SECRET", "s");
        transcript(&mut command).replace(&home.0.path().display().to_string(), "DIR")
    };
    for args in [
        &["config", "set", "dmPolicy", "allowlist"][..],
        &["config", "get", "dmPolicy"],
        &["config", "validate"],
        &["channels", "add", "--client-id", "dingA", "--client-secret", "s", "--non-interactive"],
    ] {
        let text = told(args);
        assert!(text.starts_with("exit code: 0\n") && text.contains(UNREAD), "{args:?}: {text}");
    }
    let mut named = home.command(&["config", "validate"]);
    named.env("DINGTALK_CLIENT_ID", "dingE").env("OPENCLAW_CONFIG_PATH", home.file());
    assert!(!transcript(&mut named).contains("is not read"));
    std::fs::write(home.file(), "{ gateway: {} }").unwrap();
    assert!(!told(&["config", "validate"]).contains("is not read"), "it is somebody else's");
}

#[test]
fn hosts_are_read_as_they_are_written() {
    let home = Home::new();
    let ok = home.told(&["config", "set", "allowHosts", "[\"files.example.com\", \"::1\"]"]);
    assert!(ok.starts_with("exit code: 0\n"), "{ok}");
    insta::assert_snapshot!(home.told(&["config", "set", "allowHosts", "[\"http://a\"]"]), @r#"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.allowHosts is to be ["http://a"], and must be a list of hosts without scheme and port, such as ["files.example.com"]
    "#);
    let home = Home::with(
        "{ channels: { ddingtalk: { clientId: 'a', clientSecret: 'b', allowHosts: ['a b'] } } }",
    );
    insta::assert_snapshot!(home.told(&["config", "validate"]), @r#"
    exit code: 10
    --- stdout
    --- stderr
    error: channels.ddingtalk.allowHosts in DIR/openclaw.json is a list, and must be a list of hosts without scheme and port, such as ["files.example.com"]
    "#);
}
