use proptest::prelude::*;

use super::*;
use crate::config::OPENCLAW_STATE_DIR;
use crate::config::tests::env;

fn load(text: &str, vars: &[(&'static str, &'static str)]) -> Result<Accounts, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("openclaw.json");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut env = env(vars);
    let state = dir.path().to_str().unwrap().to_owned();
    env.0.insert(OPENCLAW_STATE_DIR, Box::leak(state.into_boxed_str()));
    Accounts::load(&env, Overrides::default())
}

fn section(text: &str) -> Result<Accounts, ConfigError> {
    load(&format!("{{ channels: {{ ddingtalk: {{ {text} }} }} }}"), &[("SECRET", "s3cr3t")])
}

const APP: &str = "clientId: 'dingA', clientSecret: '${SECRET}',";

#[test]
fn one_robot_with_all_settings() {
    let read = section(&format!(
        "{APP} dmPolicy: 'allowlist', allowFrom: ['anna', 17], groupPolicy: 'open',
         groupAllowFrom: ['ben'], requireMention: false, rateLimit: {{ messages: 5, seconds: 60 }},
         groups: {{ 'cidA==': {{ enabled: false, requireMention: true, allowFrom: ['*'] }} }},
         agent: 'none', alertTo: 'user:boss', alertAfter: '2m', healthListen: '127.0.0.1:9464', store: 'postgres://u:${{SECRET}}@db/chat', name: 'Our robot', streaming: {{}},"
    ))
    .unwrap();
    assert_eq!(read.warnings, Vec::<String>::new());
    let [account] = &read.accounts[..] else { panic!("one") };
    assert_eq!(account.name, DEFAULT);
    assert_eq!(account.credential.client_secret.expose(), "s3cr3t");
    let list = |ids: &[&str]| AllowList::new(ids.iter().map(|&id| id.to_owned()));
    let group = GroupRules {
        enabled: Some(false),
        require_mention: Some(true),
        allow_from: Some(list(&["*"])),
    };
    let expected = AccessPolicy {
        dm: DmPolicy::Allowlist,
        allow_from: list(&["anna", "17"]),
        group: GroupPolicy::Open,
        group_allow_from: Some(list(&["ben"])),
        groups: [("cidA==".to_owned(), group)].into(),
        require_mention: Some(false),
        rate: Some(Rate { messages: 5, per: Duration::from_secs(60) }),
    };
    assert_eq!(account.access, expected);
    assert_eq!(account.agent, Some(AgentKind::None));
    let alert = AlertConfig { to: "user:boss".parse().ok(), after: Duration::from_secs(120) };
    assert_eq!((&account.alert, read.health_listen), (&alert, "127.0.0.1:9464".parse().ok()));
    assert_eq!(read.store.map(|store| store.to_string()).as_deref(), Some("postgres://u@db/chat"));
    assert!(account.credential.place.starts_with("channels.ddingtalk.clientId in /"));
}

/// Keys of a table that are read here.
fn ours(table: keys::Table) -> impl Iterator<Item = &'static str> {
    let ours = |key: &&keys::Key| !matches!(key.kind, keys::Kind::Theirs);
    table.iter().copied().flatten().filter(ours).map(|key| key.name)
}

/// What `config set` takes is what is read, and the other way round.
#[test]
fn a_value_that_a_key_takes_is_read_and_another_one_is_not() {
    let values = [
        "true",
        "'open'",
        "'allowlist'",
        "'echo'",
        "'x'",
        "' '",
        "'user:boss'",
        "'2m'",
        "'10ms'",
        "'127.0.0.1:9464'",
        "'postgres://u:p@db/chat'",
        "0",
        "1",
        "7.5",
        "-1",
        "[]",
        "['a', 7]",
        "['']",
        "{}",
        "{ messages: 1, seconds: 2 }",
        "{ messages: 1 }",
        "{ c: {} }",
        "{ c: 1 }",
        "{ c: { enabled: 'x' } }",
        "{ c: { enabled: true } }",
    ];
    let table = keys::SECTION.iter().copied().flatten();
    for key in table.filter(|key| !matches!(key.kind, keys::Kind::Theirs)) {
        for text in values {
            let value: Value = json5::from_str(text).unwrap();
            // They leave no robot, and name what is missing.
            if key.name == "enabled" && text == "false" || key.name == "accounts" {
                continue;
            }
            let read =
                section(&format!("clientId: 'dingA', clientSecret: 's', {}: {text}", key.name));
            let checked = key.kind.check(&value);
            assert_eq!(read.is_ok(), checked.is_ok(), "{} {text}: {read:?} {checked:?}", key.name);
        }
    }
}

#[test]
fn a_setting_that_is_known_is_read() {
    let app = "clientId: 'dingA', clientSecret: 's'";
    for key in ours(keys::SECTION) {
        // Nothing takes this, and of two that are given the last one counts.
        let message = section(&format!("{app}, {key}: [[7.5]]")).unwrap_err().to_string();
        assert!(message.contains(key), "{key}: {message}");
    }
    for key in ours(keys::GROUP) {
        let message =
            section(&format!("{app}, groups: {{ c: {{ {key}: [[7.5]] }} }}")).unwrap_err();
        assert!(message.to_string().contains(key), "{key}: {message}");
    }
}

#[test]
fn what_an_account_has_from_the_section_is_named_there() {
    let sales = "accounts: { sales: { clientId: 'dingB', clientSecret: 'b' } }";
    for (text, path) in [
        ("dmPolicy: 'opn'", "channels.ddingtalk.dmPolicy in "),
        ("groups: { c: { enabled: 7 } }", "channels.ddingtalk.groups.c.enabled in "),
        ("allowFrom: [{}]", "channels.ddingtalk.allowFrom[0] in "),
    ] {
        let message = section(&format!("{text}, {sales}")).unwrap_err().to_string();
        assert!(message.starts_with(path), "{message}");
    }
    let own = section("accounts: { sales: { clientId: 'dingB', clientSecret: 'b', dmPolicy: 1 } }");
    let message = own.unwrap_err().to_string();
    assert!(message.starts_with("channels.ddingtalk.accounts.sales.dmPolicy in "), "{message}");
    let odd = section(&format!("{APP} groups: {{ c: {{ colour: 1 }} }}, {sales}")).unwrap();
    assert_eq!(odd.warnings.iter().filter(|w| w.contains("colour")).count(), 1, "{odd:?}");
}

#[test]
fn an_empty_variable_is_no_app_and_half_an_app_is_none() {
    let text = "{ channels: { ddingtalk: { accounts: { a: { clientId: 'dingA', clientSecret: 'a' } } } } }";
    let read = load(text, &[(CLIENT_ID, " ")]).unwrap();
    assert_eq!(read.accounts.len(), 1);
    let half = "clientSecret: 'x', accounts: { a: { clientId: 'dingA', clientSecret: 'a' } }";
    let message = section(half).unwrap_err().to_string();
    assert!(message.contains("channels.ddingtalk.clientId is missing"), "{message}");
}

#[test]
fn an_open_robot_with_an_allowlist_is_warned_of() {
    let warnings = |text: &str| section(&format!("{APP} {text}")).unwrap().warnings;
    let odd = warnings("dmPolicy: 'open', allowFrom: ['anna']");
    assert!(odd.len() == 1 && odd[0].contains("channels.ddingtalk.allowFrom"), "{odd:?}");
    let account = "clientId: 'dingB', clientSecret: '${SECRET}', dmPolicy: 'open'";
    let beside = format!("allowFrom: ['anna'], accounts: {{ b: {{ {account} }} }}");
    for fine in ["dmPolicy: 'open'", "dmPolicy: 'open', allowFrom: ['anna', '*']", &beside] {
        assert_eq!(warnings(fine), Vec::<String>::new(), "{fine}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::sample::select(vec!["", " ", "*", "open", "allowlist", "anna", "${SECRET}", "${N}"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let keys = ours(keys::SECTION).chain(ours(keys::GROUP)).chain(ours(keys::RATE));
        let keys: Vec<_> = keys.chain(["default"]).collect();
        let key = prop::sample::select(keys).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_anywhere_panics_or_shows_a_secret(sections in prop::collection::vec(any_json(), 1..3)) {
        let mut whole = serde_json::json!({
            "clientId": "dingA", "clientSecret": "${SECRET}", "accounts": { "a": {} }
        });
        for section in &sections {
            if let Value::Object(map) = section {
                whole.as_object_mut().unwrap().extend(map.clone());
            }
        }
        let text = serde_json::json!({ "channels": { "ddingtalk": whole } }).to_string();
        match load(&text, &[("SECRET", "s3cr3t")]) {
            Ok(read) => {
                prop_assert!(!read.accounts.is_empty());
                let shown = format!("{:?}", read.warnings);
                prop_assert!(!shown.contains("s3cr3t"), "{}", shown);
            }
            Err(e) => {
                let message = e.to_string();
                prop_assert!(message.contains("ddingtalk") || message.contains("clientId"), "{}", message);
                prop_assert!(!message.contains("s3cr3t"), "{}", message);
            }
        }
    }
}

#[test]
fn accounts_have_what_the_section_has_and_their_own() {
    let read = section(&format!(
        "{APP} dmPolicy: 'open', accounts: {{
           sales: {{ clientId: 'dingB', clientSecret: 'b', dmPolicy: 'disabled' }},
           off: {{ enabled: false }},
           help: {{ clientId: 'dingC', clientSecret: 'c' }} }}"
    ))
    .unwrap();
    let seen: Vec<_> = read
        .accounts
        .iter()
        .map(|a| (a.name.as_str(), a.credential.client_id.as_str(), a.access.dm))
        .collect();
    assert_eq!(
        seen,
        [
            ("default", "dingA", DmPolicy::Open),
            ("help", "dingC", DmPolicy::Open),
            ("sales", "dingB", DmPolicy::Disabled),
        ]
    );
}

#[test]
fn wrong_settings_are_named_with_what_is_allowed_and_never_a_secret() {
    for (text, parts) in [
        (
            "dmPolicy: 'opn'",
            "channels.ddingtalk.dmPolicy|\"opn\"|pairing, allowlist, open, disabled",
        ),
        ("allowFrom: 'anna'", "channels.ddingtalk.allowFrom|\"anna\"|a list of ids"),
        ("groups: { cid: { enabled: 'no' } }", "groups.cid.enabled|\"no\"|true or false"),
        ("groups: []", "ddingtalk.groups|a list|an object"),
        ("allowFrom: ['anna', 12.5]", "channels.ddingtalk.allowFrom[1]|12.5|an id in quotes"),
        ("groupAllowFrom: [' ']", "channels.ddingtalk.groupAllowFrom[0]|an id in quotes"),
        ("allowFrom: [123456789012345678901]", "channels.ddingtalk.allowFrom[0]|an id in quotes"),
        ("accounts: { a: 's3cr3t' }", "accounts.a|a text|an object"),
        ("rateLimit: 's3cr3t'", "channels.ddingtalk.rateLimit|a text|an object"),
        ("clientId: { clientSecret: 's3cr3t' }", "channels.ddingtalk.clientId|an object|a text"),
        ("dmPolicy: 'x${SECRET}'", "channels.ddingtalk.dmPolicy|***|pairing"),
        ("groupPolicy: ['s3cr3t']", "channels.ddingtalk.groupPolicy|a list|open"),
        ("agent: 'claude'", "channels.ddingtalk.agent|claude|echo"),
        ("rateLimit: { messages: 0, seconds: 1 }", "rateLimit.messages|0|at least 1"),
        ("rateLimit: { messages: 1 }", "rateLimit.seconds|is missing"),
        ("enabled: false", "channels.ddingtalk.enabled|false"),
        ("clientSecret: 77777", "channels.ddingtalk.clientSecret|***|a text"),
        ("clientSecret: 'x${NONE}'", "channels.ddingtalk.clientSecret|***|variables that are set"),
        ("accounts: { a: { clientId: 'dingB' } }", "accounts.a.clientSecret|is missing"),
        ("accounts: { 'a/b': { } }", "accounts.a/b|letters, digits"),
        (
            "accounts: { a: { clientId: 'dingA', clientSecret: 'x' } }",
            "default|a|dingA|an app of its own",
        ),
    ] {
        let message = section(&format!("{APP} {text}")).unwrap_err().to_string();
        for part in parts.split('|') {
            assert!(message.contains(part), "{text}: {message} lacks {part}");
        }
        assert!(message.contains("openclaw.json"), "{message}");
        for secret in ["s3cr3t", "77777", "x$"] {
            assert!(!message.contains(secret), "{message}");
        }
    }
}

#[test]
fn unknown_keys_are_warned_of_with_the_nearest_one() {
    let read = section(&format!("{APP} dmpolicy: 'open', colour: 1, name: ''")).unwrap();
    assert_eq!(read.warnings.len(), 2, "{:?}", read.warnings);
    let all = read.warnings.join("\n");
    assert!(all.contains("channels.ddingtalk.dmpolicy") && all.contains("did you mean dmPolicy?"));
    assert!(all.contains("channels.ddingtalk.colour") && all.contains("it is ignored"));
}

#[test]
fn enough_environment_needs_no_file_and_wins_over_one() {
    let vars = [(CLIENT_ID, "dingE"), (CLIENT_SECRET, "e")];
    let read = load("this is no JSON5", &vars).unwrap();
    assert_eq!((read.accounts.len(), read.file), (1, None));
    let text = "{ channels: { ddingtalk: { clientId: 'dingA', clientSecret: 'a' } } }";
    let read = load(text, &[(CLIENT_ID, "dingE")]).unwrap();
    assert_eq!(read.accounts[0].credential.client_id.as_str(), "dingE");
    assert_eq!(read.accounts[0].credential.client_secret.expose(), "a");
    let message = load("{}", &[]).unwrap_err().to_string();
    assert!(message.contains("openclaw.json has no channels.ddingtalk"), "{message}");
    assert!(message.contains("DINGTALK_CLIENT_ID"), "{message}");
}

#[test]
fn with_openclaw_the_apps_of_its_file_win_over_the_environments() {
    let of = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openclaw.json");
        std::fs::write(&path, format!("{{ channels: {{ ddingtalk: {{ {text} }} }} }}")).unwrap();
        let path: &'static str = Box::leak(path.to_str().unwrap().to_owned().into());
        let whole =
            [(CLIENT_ID, "dingE"), (CLIENT_SECRET, "e"), (file::OPENCLAW_CONFIG_PATH, path)];
        let overrides = Overrides { file_first: true, ..Overrides::default() };
        let read = Accounts::load(&env(&whole), overrides).unwrap();
        let apps = read.accounts.into_iter().map(|account| account.credential);
        let apps = apps.map(|app| format!("{}:{}", app.client_id, app.client_secret.expose()));
        apps.collect::<Vec<_>>()
    };
    assert_eq!(of("clientId: 'dingA', clientSecret: 'a'"), ["dingA:a"]);
    assert_eq!(of("clientId: 'dingA', clientSecret: '${DINGTALK_CLIENT_SECRET}'"), ["dingA:e"]);
    assert_eq!(of("accounts: { b: { clientId: 'dingB', clientSecret: 'b' } }"), ["dingB:b"]);
    assert_eq!(of("dmPolicy: 'open'"), ["dingE:e"]);
}

#[test]
fn a_database_is_found_without_a_robot_and_its_password_is_not_shown() {
    let of = |text: &str, vars: &[(&'static str, &'static str)]| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openclaw.json");
        std::fs::write(&path, format!("{{ channels: {{ ddingtalk: {{ {text} }} }} }}")).unwrap();
        let mut env = env(vars);
        let state = dir.path().to_str().unwrap().to_owned();
        env.0.insert(OPENCLAW_STATE_DIR, Box::leak(state.into_boxed_str()));
        store(&env).map(|store| store.map(|store| store.to_string()))
    };
    let shown = Some("postgres://bot@db/chat".to_owned());
    assert_eq!(of("store: 'postgres://bot:${PW}@db/chat'", &[("PW", "s3cr3t")]), Ok(shown.clone()));
    assert_eq!(of("accounts: { a: 7 }, store: 'postgres://bot@db/chat'", &[]), Ok(shown));
    assert_eq!(of("clientId: 'x'", &[]), Ok(None));
    // As for robots: a whole credential in the environment is all there is.
    let whole = [(CLIENT_ID, "dingA"), (CLIENT_SECRET, "s")];
    assert_eq!(of("store: 'postgres://bot@db/chat'", &whole), Ok(None));
    let broken = of("store: 'postgres://bot:${PW}@db/chat?x=1'", &[("PW", "s3cr3t")]).unwrap_err();
    let message = broken.to_string();
    assert!(message.contains("channels.ddingtalk.store") && message.contains("***"), "{message}");
    assert!(!message.contains("s3cr3t") && message.contains("postgres://USER"), "{message}");
}
