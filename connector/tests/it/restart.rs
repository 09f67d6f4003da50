//! `gateway restart`: a new process takes the place of the running one, under load and under odds.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dingtalk_connector::store::sqlite::FILE;
use mock_dingtalk::{
    Action, AppOptions, DeliveryRules, ErrorBody, Fault, Profile, SaidState, When,
};
use serde_json::{Value, json};

use crate::chats::numbered;
use crate::ledger::Ledger;
use crate::link::{block, done};
use crate::link_client::Link;
use crate::support::{PATIENCE, Running, World, eventually, output_of, program};

/// Chats that people write in.
const CHATS: usize = 50;
const RESTARTS: usize = 5;
/// Within this time DingTalk wants an ack of what it documents a limit for.
const ACK: u64 = 2_000;

fn restart(world: &World, args: &[&str]) -> Command {
    let mut command = program();
    command.args(["gateway", "restart"]).args(args).env("OPENCLAW_STATE_DIR", world.dir.path());
    command
}

/// Restarts it; what is told of that.
async fn restarted(world: &World) -> Value {
    let output = output_of(restart(world, &["--json"])).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A restart that is not made: exit code, and why.
async fn refused(world: &World, args: &[&str]) -> (i32, String) {
    let output = output_of(restart(world, args)).await;
    let why = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), why.replace(&world.dir.path().display().to_string(), "DIR"))
}

async fn pid(world: &World) -> u32 {
    let mut command = program();
    command.args(["gateway", "status", "--json"]).env("OPENCLAW_STATE_DIR", world.dir.path());
    let output = output_of(command).await;
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    status["process"]["pid"].as_u64().unwrap().try_into().unwrap()
}

/// Processes and their parents, those that have ended and are not waited for included.
fn parents() -> HashMap<u32, u32> {
    let table = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().unwrap();
    let text = String::from_utf8(table.stdout).unwrap();
    let row = |line: &str| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap());
        Some((numbers.next()?, numbers.next()?))
    };
    text.lines().filter_map(row).collect()
}

fn children(of: u32) -> Vec<u32> {
    parents().into_iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| pid).collect()
}

async fn gone(pid: u32) {
    eventually(
        || format!("the end of process {pid}"),
        || (!parents().contains_key(&pid)).then_some(()),
    )
    .await;
}

async fn answers(world: &World, text: &str) {
    let before = world.app.sent().unwrap().len();
    world.app.say("user0001", text).await.unwrap();
    let sent = world.app.wait_sent(before + 1).await.unwrap();
    assert_eq!((sent.len(), sent[before].text.as_str()), (before + 1, text));
}

/// Some restarts while people write in fifty chats.
async fn under_load(name: &str, profile: Profile) {
    let rules = DeliveryRules { profile, ..DeliveryRules::default() };
    let world = World::with(AppOptions::default().delivery(rules)).await;
    let mut command = world.command(&["--dm-policy", "open", "--group-policy", "open"]);
    command.env("RUST_LOG", "info,audit=off");
    let mut running = world.start_command(command);
    world.app.wait_connections(1).await.unwrap();
    let mut ledger = Ledger::default();
    let (mut slowest, mut told) = (0, Vec::new());
    for _ in 0..RESTARTS {
        let restart = restarted(&world);
        let mut restart = std::pin::pin!(restart);
        // Some before it, and some after it.
        let (mut after, mut over) = (0, None);
        while after < 20 {
            let number = ledger.said.len();
            let chat = number % CHATS;
            let said = ledger.say(&world.app, chat, &numbered(chat, number)).await;
            assert_eq!(said, SaidState::Pushed, "nobody is connected");
            let pause = tokio::time::sleep(Duration::from_millis(3));
            tokio::select! {
                told = &mut restart, if over.is_none() => over = Some(told),
                () = pause => {}
            }
            after += usize::from(over.is_some());
        }
        told.extend(over);
        ledger.note(&world.app);
        let acks = world.app.deliveries().unwrap().into_iter().filter_map(|row| row.ack);
        slowest = acks.map(|ack| ack.after_ms).fold(slowest, u64::max);
    }
    let start = Instant::now();
    let comes_again = profile != Profile::Documented;
    if comes_again {
        // What crossed a Close frame was answered by whoever took it in, and is only acked now.
        world.mock.clock().advance(Duration::from_secs(61));
    }
    let figures = loop {
        let open = ledger.open(&world.app, profile);
        let figures = ledger.check(0, None).and_then(|figures| {
            if open > 0 || (comes_again && figures.unacked > 0) {
                return Err(format!("{open} are open, {figures:?}"));
            }
            all_answered(&world, &ledger).map(|()| figures)
        });
        match figures {
            Ok(figures) => break figures,
            Err(e) => assert!(start.elapsed() < PATIENCE, "{name}: {e}\n{}", running.log()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((figures.twice, figures.chats), (0, CHATS));
    for told in &told {
        assert_eq!((&told["gapMs"], &told["agentsGapMs"]), (&json!(0), &json!(0)), "{told}");
    }
    assert!(slowest < ACK, "an ack took {slowest} ms");
    assert!(running.is_running(), "what was started stays");
    assert!(!running.log().contains("may have arrived"), "{}", running.log());
    let counts = (figures.said, figures.unacked, ledger.median_ms());
    report(name, counts, slowest, &told);
}

/// Whether every message is answered, and those of each chat in order: also those that crossed a Close frame, so
/// that they could not be acked.
fn all_answered(world: &World, ledger: &Ledger) -> Result<(), String> {
    let sent = world.app.sent().unwrap();
    let answers: HashMap<&str, u64> = sent.iter().map(|row| (row.text.as_str(), row.seq)).collect();
    let mut last_of = HashMap::new();
    for said in &ledger.said {
        let at = answers.get(said.text.as_str()).ok_or(format!("not answered: {}", said.text))?;
        let last = last_of.insert(said.chat, at);
        if last.is_some_and(|last| last > at) {
            return Err(format!("out of order: {}", said.text));
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the measured gap is to be seen")]
fn report(name: &str, (said, unacked, median): (usize, usize, i64), slowest: u64, told: &[Value]) {
    let each =
        |name: &str| told.iter().map(|told| told[name].to_string()).collect::<Vec<_>>().join(", ");
    println!(
        "{name}: {said} messages said and answered once in order, {unacked} of them not acked, half of them within {median} ms; gap {} ms, both connected {} ms, messages waited at most {} ms; slowest ack {slowest} ms",
        each("gapMs"),
        each("overlapMs"),
        each("waitedMs"),
    );
}

#[tokio::test]
async fn under_load_no_message_is_lost_or_answered_twice_where_dingtalk_sends_once() {
    under_load("documented", Profile::Documented).await;
}

#[tokio::test]
async fn under_load_no_message_is_lost_or_answered_twice_where_dingtalk_sends_again() {
    under_load("observed_60s", Profile::Observed60s).await;
}

#[tokio::test]
async fn however_often_it_restarts_there_are_two_processes_and_the_first_one_ends_as_the_last() {
    let world = World::new().await;
    let mut running = world.start_proven().await;
    let mut before = running.pid();
    for n in 1..=3 {
        let told = restarted(&world).await;
        assert_eq!((&told["restarted"], &told["was"]), (&json!(true), &json!(before)), "{told}");
        let now = pid(&world).await;
        assert_eq!(told["pid"], now);
        if n > 1 {
            gone(before).await;
        }
        assert_eq!(children(running.pid()), [now]);
        assert!(children(now).is_empty());
        answers(&world, &format!("after restart {n}")).await;
        before = now;
    }
    // The settings are read again by whoever works.
    running.signal("-HUP");
    running.wait_log("the settings are those of the environment", 1).await;
    running.terminate();
    assert_eq!(running.ended().await.code(), Some(0));
    gone(before).await;
    assert_eq!(running.lines("stopped unfinished=0").len(), 1);
    let log = running.log();
    assert!(!log.contains(" ERROR ") && !log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn what_a_person_reads_of_a_restart() {
    let world = World::new().await;
    let _running = world.start_proven().await;
    let told = String::from_utf8(output_of(restart(&world, &[])).await.stdout).unwrap();
    let digits = |c: char| c.is_ascii_digit();
    let words = told.split_inclusive(digits).map(|part| part.trim_end_matches(digits));
    let told = words.collect::<Vec<_>>().join("N");
    let mut steady = told;
    while steady.contains("NN") {
        steady = steady.replace("NN", "N");
    }
    insta::assert_snapshot!(steady, @r"
    restarted: pid N (was N)
    DingTalk: no gap, both were connected for N ms; messages waited for at most N ms
    agents: a gap of N ms
    ");
}

#[tokio::test]
async fn the_first_process_hands_on_a_second_signal_too_and_a_killed_one_takes_the_other_along() {
    let world = World::new().await;
    let mut running = world.start_proven().await;
    restarted(&world).await;
    let hangs = When::Path("/robot/sendBySession".into());
    world.app.fault(Fault::always(hangs, Action::Hang)).unwrap();
    world.app.say("user0001", "an answer that never ends").await.unwrap();
    let hit = || world.app.faults().unwrap().iter().any(|row| row.hits > 0).then_some(());
    eventually(|| "the call that hangs".to_owned(), hit).await;
    running.terminate();
    running.wait_log("stopping; answers under way", 1).await;
    running.terminate();
    assert_eq!(running.ended().await.code(), Some(143));

    world.wait_disconnected().await;
    world.app.clear_faults().unwrap();
    let mut running = world.start_open();
    running.wait_log("connected to the gateway", 1).await;
    restarted(&world).await;
    let other = pid(&world).await;
    running.kill_now();
    gone(other).await;
    assert_eq!(running.lines("stopped unfinished=0").len(), 1, "{}", running.log());
}

#[tokio::test]
async fn settings_that_do_not_hold_leave_the_running_process_as_it_is() {
    let world = World::new().await;
    let section = json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(), "dmPolicy": "open",
    });
    let mut running = world.start_configured(&section);
    world.app.wait_connections(1).await.unwrap();
    let config = world.dir.path().join("openclaw.json");
    let right = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, "{ channels: ").unwrap();
    let (code, why) = refused(&world, &[]).await;
    assert_eq!(code, 10, "{why}");
    let expected = "the gateway goes on as it is: the config file DIR/openclaw.json is no JSON5";
    assert!(why.contains(expected), "{why}");

    let mut wrong = section.clone();
    wrong["clientSecret"] = "no longer".into();
    world.configure(&wrong);
    let (code, why) = refused(&world, &[]).await;
    assert_eq!(code, 15, "{why}");
    assert!(
        why.contains("the gateway goes on as it is: account default cannot connect: "),
        "{why}"
    );

    std::fs::write(&config, right).unwrap();
    assert_eq!((running.is_running(), children(running.pid())), (true, vec![]));
    answers(&world, "still there").await;
    restarted(&world).await;
    answers(&world, "and another one").await;
}

/// The program at a place of its own, where another one can be put.
fn installed(world: &World) -> (PathBuf, Running) {
    let path = world.dir.path().join("ddingtalk-program");
    let built = Path::new(env!("CARGO_BIN_EXE_ddingtalk"));
    if std::fs::hard_link(built, &path).is_err() {
        std::fs::copy(built, &path).unwrap();
    }
    let like = world.command(&["--dm-policy", "open"]);
    let mut command = Command::new(&path);
    command.args(like.get_args()).env_clear().stdin(std::process::Stdio::null());
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let running = world.start_command(command);
    (path, running)
}

/// Puts a script in the place of a program, as an update does.
fn replace(path: &Path, script: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(&new, path).unwrap();
}

#[tokio::test]
async fn a_program_that_dies_hangs_or_cannot_connect_leaves_the_running_process_as_it_is() {
    let world = World::new().await;
    let (path, mut running) = installed(&world);
    world.app.wait_connections(1).await.unwrap();
    answers(&world, "before").await;
    let opens = || world.app.connections().unwrap().len();

    replace(&path, "exit 3");
    let (code, why) = refused(&world, &[]).await;
    let expected = "error: the gateway goes on as it is: the new process is gone: it ended with exit status: 3 \
                    before it had taken over\n";
    assert_eq!((code, why.as_str()), (1, expected));

    replace(&path, "exec sleep 600");
    let (code, why) = refused(&world, &["--timeout", "500ms"]).await;
    let expected = "error: the gateway goes on as it is: the new process was not connected within 500ms, and was \
                    ended\n";
    assert_eq!((code, why.as_str()), (1, expected));

    std::fs::remove_file(&path).unwrap();
    let (code, why) = refused(&world, &[]).await;
    assert!(
        code == 1 && why.contains("its program DIR/ddingtalk-program is not there any more"),
        "{why}"
    );

    assert_eq!((children(running.pid()), opens()), (vec![], 1), "the connection was not touched");
    answers(&world, "after").await;
    // An update that works is taken.
    let built = Path::new(env!("CARGO_BIN_EXE_ddingtalk"));
    replace(&path, &format!("exec {} \"$@\"", built.display()));
    // The gateway lets nobody in; then it does.
    let fault = Fault::always(When::Open, Action::Status(503, ErrorBody::Json));
    world.app.fault(fault).unwrap();
    let (code, why) = refused(&world, &["--timeout", "2s"]).await;
    assert!(code == 1 && why.contains("was not connected within 2s"), "{why}");
    world.app.clear_faults().unwrap();
    answers(&world, "still the first one").await;
    let told = restarted(&world).await;
    assert_eq!(told["gapMs"], 0, "{told}");
    answers(&world, "the new one").await;
    assert!(running.is_running());
}

#[tokio::test]
async fn where_the_new_process_fails_late_the_running_one_begins_again() {
    let world = World::new().await;
    let mut section = json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(), "dmPolicy": "open",
    });
    let mut running = world.start_configured(&section);
    world.app.wait_connections(1).await.unwrap();
    // Once the first process itself is the one that goes on, and once another one that it keeps.
    for round in 0..2 {
        let at_work = pid(&world).await;
        assert_eq!(at_work == running.pid(), round == 0);
        fails_late(&world, &running, &mut section).await;
        assert_eq!((running.is_running(), pid(&world).await), (true, at_work));
        answers(&world, &format!("it goes on {round}")).await;
        section.as_object_mut().unwrap().remove("healthListen");
        world.configure(&section);
        restarted(&world).await;
        assert_eq!(children(running.pid()), [pid(&world).await]);
        answers(&world, &format!("and the next one, too {round}")).await;
    }
}

/// Restarts it with a port that is taken.
async fn fails_late(world: &World, running: &Running, section: &mut Value) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = running.lines("connected to the gateway").len();
    section["healthListen"] = taken.local_addr().unwrap().to_string().into();
    world.configure(section);
    let (code, why) = refused(world, &[]).await;
    assert_eq!(code, 12, "{why}");
    assert!(why.contains("cannot listen on 127.0.0.1:"), "{why}");
    assert!(why.contains("its connections were ended by then, and are made again"), "{why}");
    running.wait_log("connected to the gateway", connected + 2).await;
}

#[tokio::test]
async fn who_sets_the_variable_of_a_restart_is_told_to_unset_it() {
    let world = World::new().await;
    let mut command = world.command(&[]);
    command.env("DINGTALK_HANDOVER", "1");
    let output = output_of(command).await;
    assert_eq!(output.status.code(), Some(10));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("DINGTALK_HANDOVER is set, and the standard input is no socket"),
        "{stderr}"
    );
}

#[tokio::test]
async fn an_answer_that_is_being_sent_arrives_once_and_what_waits_behind_it_is_left_to_the_next() {
    let world = World::new().await;
    let running = world.start_proven().await;
    let slow = When::Path("/robot/sendBySession".into());
    world.app.fault(Fault::always(slow, Action::Delay(Duration::from_millis(900)))).unwrap();
    let mut texts = vec!["are you there?".to_owned()];
    for n in 0..4 {
        texts.push(format!("message {n}"));
        world.app.say("user0001", &texts[n + 1]).await.unwrap();
    }
    let hit = || world.app.faults().unwrap().iter().any(|row| row.hits > 0).then_some(());
    eventually(|| "a call that is slow".to_owned(), hit).await;
    restarted(&world).await;
    let sent = world.app.wait_sent(texts.len()).await.unwrap();
    assert_eq!(sent.iter().map(|row| row.text.clone()).collect::<Vec<_>>(), texts);
    let log = running.log();
    assert!(!log.contains("may have arrived") && !log.contains("half sent"), "{log}");
    assert!(log.contains("an earlier process left messages to be answered"), "{log}");
}

#[tokio::test]
async fn what_the_former_process_took_is_recognised_when_it_comes_again_to_the_next() {
    let world = World::new().await;
    let running = world.start_proven().await;
    restarted(&world).await;
    // The same frame once more, as a gateway sends it that has lost the ack.
    let journal = world.app.journal().unwrap();
    let frame = journal.iter().find(|entry| entry.text.contains("/v1.0/im/bot/messages/get"));
    let frame = frame.and_then(|entry| entry.body.clone()).expect("the push is in the journal");
    world.app.push_raw(&frame).unwrap();
    running.wait_log("a message came again", 1).await;
    answers(&world, "the next one").await;
}

#[tokio::test]
async fn a_turn_of_a_model_is_cut_off_and_made_again_by_the_next_process() {
    let (world, model) = (World::new().await, crate::model::Model::start().await);
    let running = model.start_gateway(&world, &["--cards", "off"]).await;
    model.hold(&["half of "]);
    world.app.say("user0001", "how is it?").await.unwrap();
    model.wait_asked(1).await;
    model.words(&["all is well"]);
    let told = restarted(&world).await;
    assert!(told["waitedMs"].as_u64().unwrap() < ACK, "{told}");
    model.wait_left(1).await;
    let sent = world.app.wait_sent(1).await.unwrap();
    assert_eq!(sent[0].text, "all is well");
    answers_with(&world, &model, "and now?").await;
    assert!(!running.log().contains("may have arrived"), "{}", running.log());
}

/// Chats, and messages of each, of a robot that has more to do than it takes in.
const FULL: (usize, usize) = (300, 36);
/// Turns that run at the same time.
const AT_ONCE: usize = 256;

/// As many messages wait as there may, and more come: none of these is lost to the next process, and it begins.
#[tokio::test]
async fn a_robot_that_takes_nothing_more_in_is_restarted_all_the_same() {
    let (world, model) = (World::new().await, crate::model::Model::start().await);
    model.slow_down(Duration::from_secs(3_600));
    let first = model.start_gateway(&world, &["--cards", "off"]).await;
    world.app.say("user0001", "a pattern of many").await.unwrap();
    model.wait_asked(1).await;
    first.kill();
    multiply(&world.dir.path().join("ddingtalk").join(FILE));
    let running = model.start_gateway(&world, &["--cards", "off"]).await;
    model.wait_asked(1 + AT_ONCE).await;
    let say = async {
        for n in 0..40 {
            let person = format!("user{:04}", 100 + n);
            let said = world.app.say(&person, &format!("one more: {n}")).await.unwrap();
            assert_eq!(said.state, SaidState::Pushed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Some come before it.
    let early = world.app.say("user0099", "nobody takes this in").await.unwrap();
    let (told, ()) = tokio::join!(restarted(&world), say);
    assert_eq!(told["gapMs"], 0, "{told}");
    model.wait_asked(1 + 2 * AT_ONCE).await;
    let deliveries = world.app.deliveries().unwrap();
    let early = deliveries.iter().find(|row| row.msg_id.as_ref() == Some(&early.msg_id)).unwrap();
    assert!(early.ack.is_some(), "{early:?}");
    assert!(!running.log().contains("may have arrived"), "{}", running.log());
}

/// Makes many of the one message that waits.
fn multiply(database: &Path) {
    let db = rusqlite::Connection::open(database).unwrap();
    let (chats, of_each) = FULL;
    for n in 0..chats * of_each {
        let (chat, name) = (format!("cidOf{}", n % chats), format!("msgOf{n}"));
        db.execute(
            "INSERT INTO inbox (client_id, msg_id, message_id, conversation_id, received_at, data)
             SELECT client_id, ?1, ?1, ?2, received_at,
                 json_set(data, '$.msgId', ?1, '$.conversationId', ?2, '$.senderStaffId', ?2)
             FROM inbox LIMIT 1",
            (&name, &chat),
        )
        .unwrap();
    }
    db.execute("DELETE FROM inbox WHERE msg_id NOT LIKE 'msgOf%'", ()).unwrap();
}

async fn answers_with(world: &World, model: &crate::model::Model, text: &str) {
    model.words(&[text]);
    answers(world, text).await;
}

/// A port that was free just now.
fn port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn every_account_and_every_port_passes_on_and_an_account_that_was_down_stops_nothing() {
    let world = World::new().await;
    let (other, third) = (world.mock.app(), world.mock.app());
    world.configure(&json!({
        "clientId": world.app.client_id(), "clientSecret": world.app.client_secret(), "dmPolicy": "open",
        "accounts": {
            "sales": {
                "clientId": other.client_id(), "clientSecret": other.client_secret(), "dmPolicy": "open",
            },
            "broken": { "clientId": third.client_id(), "clientSecret": "not-its-own-secret" },
        },
    }));
    let (agents, health) = (port(), port());
    let mut command = world.command(&["--agent-listen", &agents, "--health-listen", &health]);
    command.env_remove("DINGTALK_CLIENT_ID").env_remove("DINGTALK_CLIENT_SECRET");
    let _running = world.start_command(command);
    world.app.wait_connections(1).await.unwrap();
    other.wait_connections(1).await.unwrap();
    for n in 0..2 {
        let told = restarted(&world).await;
        assert_eq!(told["gapMs"], 0, "{told}");
        for name in ["agentsGapMs", "healthGapMs"] {
            assert!(told[name].as_u64().unwrap() < 1_000, "{told}");
        }
        answers(&world, &format!("default {n}")).await;
        other.say("user0002", &format!("sales {n}")).await.unwrap();
        assert_eq!(other.wait_sent(n + 1).await.unwrap()[n].text, format!("sales {n}"));
    }
    let mut stream = std::net::TcpStream::connect(&health).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.contains(r#""alive":true"#), "{answer}");
}

#[tokio::test]
async fn an_attached_agent_is_let_go_and_gets_its_turns_again_from_the_next_process() {
    let (world, running, link, mut turns) = crate::link::attached().await;
    world.app.say("user0001", "a long question").await.unwrap();
    let turn = turns.turn().await;
    assert_eq!(turn["attempt"], 1);
    let (status, _) = link.event(&turn, &block(1, "one")).await;
    assert_eq!(status, 200);
    world.app.wait_sent(1).await.unwrap();
    let told = restarted(&world).await;
    assert_eq!(told["agentsGapMs"], 0, "{told}");
    while turns.next().await.is_some() {}
    let mut turns = Link::of(&world).attach().await;
    let again = turns.turn().await;
    assert_eq!((&again["id"], &again["said"]), (&turn["id"], &json!(1)));
    assert_eq!(again["attempt"], 2);
    link.event(&again, &block(2, "two")).await;
    link.event(&again, &done(3)).await;
    let sent = world.app.wait_sent(2).await.unwrap();
    assert_eq!(sent.iter().map(|row| row.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    drop(running);
}
