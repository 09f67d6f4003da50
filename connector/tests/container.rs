//! Both images, in containers: the suite through a mapped port, and one container to the other.
//!
//! They need Docker and the images that `.ci/image` builds. Without them a test is skipped, counted
//! and named with the reason; with `REQUIRE_EXTERNAL=1` it fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

#[path = "conformance/subject.rs"]
mod subject;

use std::path::Path;
use std::process::{Command, Stdio};

use dingtalk_conformance::run::{Outcome, Setup, Verdict};
use dingtalk_conformance::suite::Suite;
use libtest_mimic::{Arguments, Failed, Trial};
use mock_dingtalk::RemoteApp;
use mock_dingtalk::container::testcontainers::core::{Host, Mount, WaitFor};
use mock_dingtalk::container::testcontainers::runners::AsyncRunner as _;
use mock_dingtalk::container::testcontainers::{
    ContainerAsync, ContainerRequest, GenericImage, Image, ImageExt as _,
};
use mock_dingtalk::container::{MockContainer, MockDingtalkImage};

/// The images' tag, as `.ci/image` chooses it.
const TAG: &str = "test";

fn main() {
    let arguments = Arguments::from_args();
    let required = std::env::var("REQUIRE_EXTERNAL").is_ok_and(|v| v == "1");
    let there = images();
    let trials = vec![
        trial("the_suite_plays_through_the_mapped_port", &there, required, || run(suite())),
        trial("the_mock_is_healthy_and_ends_in_order", &there, required, || run(mock_alone())),
        trial("the_connector_answers_from_its_container", &there, required, || run(both())),
        trial("the_connector_trusts_the_roots_in_its_image", &there, required, || run(trust())),
        trial("the_compose_file_answers", &there.and_then(|()| compose()), required, composed),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial<T>(
    name: &str,
    there: &Result<T, String>,
    required: bool,
    play: fn() -> Result<(), String>,
) -> Trial {
    match there.as_ref().map_err(Clone::clone) {
        Ok(_) => Trial::test(name, move || play().map_err(Failed::from)),
        Err(reason) if required => Trial::test(name, move || {
            Err(Failed::from(format!("REQUIRE_EXTERNAL=1, but {reason}")))
        }),
        Err(reason) => {
            Trial::test(format!("{name} (skipped: {reason})"), || Ok(())).with_ignored_flag(true)
        }
    }
}

fn run(play: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::runtime::Runtime::new().unwrap().block_on(play)
}

/// Whether Docker answers and has both images.
fn images() -> Result<(), String> {
    for name in [MockDingtalkImage::NAME, "ddingtalk"] {
        docker(&["image", "inspect", "--format", "{{.Id}}", &format!("{name}:{TAG}")])
            .map_err(|why| format!("{why}; .ci/image builds the images"))?;
    }
    Ok(())
}

fn docker(arguments: &[&str]) -> Result<String, String> {
    said(Command::new("docker").args(arguments))
}

/// What a command prints, or the last line of its complaint.
fn said(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{name} cannot be started: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let said = text(&output.stderr);
    Err(said.lines().next_back().unwrap_or("it says nothing").to_owned())
}

/// The mock's image as it is meant to be run: without a writable file, without a capability.
fn mock() -> ContainerRequest<MockDingtalkImage> {
    MockDingtalkImage::default()
        .with_tag(TAG)
        .with_readonly_rootfs(true)
        .with_mount(Mount::tmpfs_mount("/tmp"))
        .with_cap_drop("ALL")
}

fn told(error: impl std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        sentence = format!("{sentence}: {error}");
        source = error.source();
    }
    sentence
}

/// The suite against the connector of this build, with each agent and the mock in a container.
async fn suite() -> Result<(), String> {
    let mock = MockContainer::start(mock()).await.map_err(told)?;
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance");
    let suite = Suite::open(dir).map_err(told)?;
    // The reconnect product is about the bot and not about ports; it has its run beside this one.
    let cases: Vec<_> = suite.cases().filter(|case| !case.id().contains('+')).cloned().collect();
    let mut outcomes = Vec::new();
    for (_, setup) in subject::setups(1) {
        let setup = Setup { mock: Some(mock.control().clone()), ..setup };
        outcomes.extend(setup.run_all(&suite, cases.clone(), subject::JOBS, |_| ()).await);
    }
    let is = |verdict| outcomes.iter().filter(move |outcome| outcome.verdict == verdict);
    let passed = is(Verdict::Pass).count();
    check(passed > 300, &format!("only {passed} cases passed"))?;
    let good = [Verdict::Pass, Verdict::Info, Verdict::NotApplicable];
    let failed = outcomes.iter().filter(|outcome| !good.contains(&outcome.verdict));
    let failed: Vec<String> = failed.map(Outcome::explain).collect();
    check(failed.is_empty(), &failed.join("\n\n"))
}

/// The mock's own health check, its user, and its end at SIGTERM.
async fn mock_alone() -> Result<(), String> {
    let request = mock().with_ready_conditions(vec![WaitFor::healthcheck()]);
    let mock = MockContainer::start(request).await.map_err(told)?;
    hardened(mock.container().id())?;
    let app = mock.app().await.map_err(told)?;
    let port = mock.url().port().unwrap().to_string();
    let env = app.env().await.map_err(told)?;
    for (name, value) in &env {
        if name == "DINGTALK_OPENAPI_ENDPOINT" {
            check(value.ends_with(&port), &format!("{name} is {value}, not by port {port}"))?;
        }
        if name == "NODE_EXTRA_CA_CERTS" {
            check(Path::new(value).is_file(), &format!("{name} is {value}, which is not here"))?;
        }
    }
    ends_in_order(mock.container()).await
}

/// The connector's image speaks to the mock's over a network of their own, by its name.
async fn both() -> Result<(), String> {
    let network = format!("ddingtalk-test-{}", std::process::id());
    let name = format!("mock-{network}");
    let request = mock().with_network(&network).with_container_name(&name);
    let mock = MockContainer::start(request).await.map_err(told)?;
    let app = mock.app().await.map_err(told)?;
    let url = format!("http://{name}:8700");
    let bot = connector(&app, [&url, &url]).await?.with_network(&network);
    let bot =
        bot.with_ready_conditions(vec![WaitFor::healthcheck()]).start().await.map_err(told)?;
    hardened(bot.id())?;
    answers(&app).await?;
    ends_in_order(&bot).await
}

/// TLS by DingTalk's own names. The roots in the image do not vouch for the mock, which shows that
/// they are there; its own certificate does.
async fn trust() -> Result<(), String> {
    let network = format!("ddingtalk-trust-{}", std::process::id());
    let serve = ["serve", "--listen", "0.0.0.0:8700", "--public-url"];
    let request = mock().with_cmd(serve.into_iter().chain(["https://mock.dingtalk.com:8700"]));
    let mock = MockContainer::start(request.with_network(&network)).await.map_err(told)?;
    let address = mock.container().get_bridge_ip_address().await.map_err(told)?;
    let app = mock.app().await.map_err(told)?;
    let urls = ["https://api.dingtalk.com:8700", "https://oapi.dingtalk.com:8700"];
    let names = ["api", "oapi", "mock"].map(|name| format!("{name}.dingtalk.com"));
    let led = |bot: ContainerRequest<GenericImage>| {
        let bot = bot.with_network(&network);
        names.iter().fold(bot, |bot, name| bot.with_host(name, Host::Addr(address)))
    };
    let bot = led(connector(&app, urls).await?);
    let refused = WaitFor::message_on_stderr("UnknownIssuer");
    let strange = bot.with_ready_conditions(vec![refused]).start().await.map_err(told)?;
    strange.rm().await.map_err(told)?;

    let pem = mock.control().bytes(&mock.control().at(&["ca.pem"])).await.map_err(told)?;
    let bot = led(connector(&app, urls).await?);
    // Docker copies nothing into a container whose files cannot be written.
    let bot = bot.with_readonly_rootfs(false).with_copy_to("/ca.pem", pem.to_vec());
    let _bot = bot.with_env_var("SSL_CERT_FILE", "/ca.pem").start().await.map_err(told)?;
    answers(&app).await
}

/// A message, and the same words back.
async fn answers(app: &RemoteApp) -> Result<(), String> {
    app.wait_connections(1).await.map_err(told)?;
    app.say("user0001", "hello").await.map_err(told)?;
    let sent = app.wait_sent(1).await.map_err(told)?;
    check(sent.len() == 1 && sent[0].text == "hello", &format!("it said {sent:?}"))
}

/// The connector's image with an app's credentials, led to two base URLs.
async fn connector(
    app: &RemoteApp,
    [openapi, oapi]: [&str; 2],
) -> Result<ContainerRequest<GenericImage>, String> {
    let env = app.env().await.map_err(told)?;
    let credential = env.into_iter().filter(|(name, _)| name.starts_with("DINGTALK_CLIENT_"));
    let request = GenericImage::new("ddingtalk", TAG)
        .with_cmd(["gateway", "--dm-policy", "open"])
        .with_readonly_rootfs(true)
        .with_cap_drop("ALL")
        .with_env_var("DINGTALK_OPENAPI_ENDPOINT", openapi)
        .with_env_var("DINGTALK_OAPI_ENDPOINT", oapi);
    Ok(credential.fold(request, |request, (name, value)| request.with_env_var(name, value)))
}

/// How compose is called here: as a part of Docker's client, or as a program of its own.
fn compose() -> Result<Vec<&'static str>, String> {
    let ways = [vec!["docker", "compose"], vec!["docker-compose"]];
    let works = |way: &Vec<&str>| {
        let output = Command::new(way[0]).args(&way[1..]).arg("version").output();
        output.is_ok_and(|output| output.status.success())
    };
    ways.into_iter().find(works).ok_or_else(|| "there is no compose".to_owned())
}

/// `mock-dingtalk/docs/compose.yaml`, with the commands that `container.md` shows.
fn composed() -> Result<(), String> {
    let way = compose()?;
    let project = format!("ddingtalk-test-{}", std::process::id());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mock-dingtalk/docs/compose.yaml");
    let call = |arguments: &[&str]| {
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).args(["-p", &project, "-f"]).arg(&file).args(arguments);
        said(command.env("MOCK_DINGTALK_TAG", TAG))
    };
    let verb =
        |arguments: &[&str]| call(&[&["exec", "-T", "mock", "/mock-dingtalk"], arguments].concat());
    let played = call(&["up", "-d"])
        .and_then(|_| verb(&["connections", "--wait", "1"]))
        .and_then(|_| verb(&["say", "hello"]))
        .and_then(|_| verb(&["sent", "--wait", "1"]));
    let ended = call(&["down", "--volumes"]);
    let sent = played?;
    check(sent.contains("hello"), &format!("it said {sent}"))?;
    ended.map(drop)
}

/// Nobody's rights, and nothing to write to.
fn hardened(container: &str) -> Result<(), String> {
    let format = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}";
    let is = docker(&["inspect", "--format", format, container])?;
    check(is == "65532:65532 true [ALL]", &format!("the container has {is}"))
}

/// SIGTERM to the first process of a container, and its exit code.
async fn ends_in_order<I: Image>(container: &ContainerAsync<I>) -> Result<(), String> {
    // Beyond this Docker kills it, and the code is 137.
    container.stop_with_timeout(Some(10)).await.map_err(told)?;
    let code = container.exit_code().await.map_err(told)?;
    check(code == Some(0), &format!("it ended with {code:?}"))
}

fn check(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}
