//! What the command line says when it cannot do what it was told.

use std::process::Command;

use crate::support::{program, transcript};

/// `gateway` with an environment that would do.
fn gateway() -> Command {
    let mut command = program();
    command
        .arg("gateway")
        .env("DINGTALK_CLIENT_ID", "dingmock1")
        .env("DINGTALK_CLIENT_SECRET", "secret")
        .env("DINGTALK_OPENAPI_ENDPOINT", "http://127.0.0.1:9")
        .env("DINGTALK_OAPI_ENDPOINT", "http://127.0.0.1:9");
    command
}

#[test]
fn a_missing_credential_is_named() {
    insta::assert_snapshot!(transcript(program().arg("gateway")), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: DINGTALK_CLIENT_ID is not set; set it to the Client ID (AppKey) from the app's page 凭证与基础信息 (Credentials), or run `ddingtalk onboard`
    ");
    insta::assert_snapshot!(transcript(gateway().env("DINGTALK_CLIENT_SECRET", " ")), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: DINGTALK_CLIENT_SECRET is not set; set it to the Client Secret (AppSecret) from the app's page 凭证与基础信息 (Credentials), or run `ddingtalk onboard`
    ");
}

#[test]
fn a_bad_url_is_named_with_its_variable() {
    let mut command = gateway();
    command.env("DINGTALK_OPENAPI_ENDPOINT", "api.dingtalk.com");
    insta::assert_snapshot!(transcript(&mut command), @r#"
    exit code: 10
    --- stdout
    --- stderr
    error: DINGTALK_OPENAPI_ENDPOINT is "api.dingtalk.com", which is no URL (relative URL without a base); give a base URL such as https://api.dingtalk.com, or leave it unset
    "#);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    let mut command = gateway();
    command.args(["--state-dir", "/dev/null/state"]);
    insta::assert_snapshot!(transcript(&mut command), @r"
    exit code: 11
    --- stdout
    --- stderr
    error: cannot write to the state directory /dev/null/state: Not a directory (os error 20); make it writable for this user, or name another one with --state-dir
    ");
}

#[test]
fn a_home_that_is_unknown_asks_for_a_state_directory() {
    insta::assert_snapshot!(transcript(&mut gateway()), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: HOME is not set; name a state directory with --state-dir or OPENCLAW_STATE_DIR
    ");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = program();
    command.args(["dev", "--listen", &address]);
    let transcript = transcript(&mut command).replace(&address, "ADDRESS");
    insta::assert_snapshot!(transcript, @r"
    exit code: 12
    --- stdout
    --- stderr
    error: cannot listen on ADDRESS: Address already in use (os error 98); give --listen another address, or port 0 for a free port
    ");
}

#[test]
fn wrong_usage_is_told_with_what_is_allowed() {
    let mut command = program();
    command.args(["gateway", "--dm-policy", "everybody"]);
    insta::assert_snapshot!(transcript(&mut command), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: invalid value 'everybody' for '--dm-policy <DM_POLICY>'
      [possible values: pairing, allowlist, open, disabled]

    For more information, try '--help'.
    ");
    let mut command = program();
    command.args(["gateway", "--ping-interval", "0s"]);
    insta::assert_snapshot!(transcript(&mut command), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: invalid value '0s' for '--ping-interval <TIME>': must be from 100ms to 10 years, such as 4s

    For more information, try '--help'.
    ");
}

#[test]
fn times_that_make_no_sense_are_refused() {
    let mut command = program();
    command.args(["gateway", "--handshake-timeout", "18446744073709551615s"]);
    insta::assert_snapshot!(transcript(&mut command), @r"
    exit code: 2
    --- stdout
    --- stderr
    error: invalid value '18446744073709551615s' for '--handshake-timeout <TIME>': must be from 100ms to 10 years, such as 4s

    For more information, try '--help'.
    ");
    let mut command = gateway();
    command.args(["--suspect-after", "4s"]);
    insta::assert_snapshot!(transcript(&mut command), @r"
    exit code: 10
    --- stdout
    --- stderr
    error: --suspect-after is 4s, no longer than --ping-interval with 4s, so that every quiet connection would be replaced; give it at least twice that
    ");
}

#[test]
fn an_allowed_host_is_a_name_or_an_address() {
    for wrong in ["localhost:9", "https://files.example.com", "a b"] {
        let output = program().args(["gateway", "--allow-host", wrong]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("is no host; give a name or address"), "{stderr}");
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn a_bundle_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = gateway();
    command
        .env("DINGTALK_OPENAPI_ENDPOINT", "https://127.0.0.1:9")
        .env("OPENCLAW_STATE_DIR", dir.path())
        .env("SSL_CERT_FILE", "/nowhere/ca.pem");
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(10), "{stderr}");
    assert!(stderr.contains("SSL_CERT_FILE is /nowhere/ca.pem, which cannot be read"), "{stderr}");
}
