//! `dingtalk-conformance run` as a user meets it.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{BOT, err, out, run};

#[test]
fn a_failing_case_shows_how_to_see_it_again_and_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report");
    let subject = format!("{BOT} --broken double-ack");
    let output = run(&[
        "run",
        "--subject",
        &subject,
        "--case",
        "ack/once",
        "--case",
        "text/g*",
        "--seed",
        "7",
        "--report",
        report.to_str().unwrap(),
    ]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let again =
        format!("again: dingtalk-conformance run --subject '{subject}' --case ack/once --seed 7");
    assert!(text.contains(&again), "{text}");
    assert!(text.contains("got 2 answers, not 1"), "{text}");
    assert!(text.contains("journal: "), "{text}");
    assert!(text.contains("failed: 2 cases: 1 fail, 1 not-applicable"), "{text}");

    let results: Value =
        serde_json::from_slice(&fs::read(report.join("results.json")).unwrap()).unwrap();
    assert_eq!((&results["passed"], &results["counts"]["fail"]), (&false.into(), &1.into()));
    assert_eq!(results["cases"][0]["case"], "ack/once");
    let junit = fs::read_to_string(report.join("junit.xml")).unwrap();
    assert!(junit.contains("tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"1\""), "{junit}");
}

#[test]
fn a_baseline_takes_known_failures_and_refuses_stale_ones() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("baseline.toml");
    fs::write(&file, "\"ack/once\" = \"a canary\"\n").unwrap();
    let baseline = file.to_str().unwrap();
    let broken = format!("{BOT} --broken double-ack");
    let play = |subject: &str| {
        run(&["run", "--subject", subject, "--case", "ack/once", "--baseline", baseline])
    };
    let known = play(&broken);
    assert_eq!(known.status.code(), Some(0), "{}", out(&known));
    assert!(out(&known).contains("baseline: a canary"), "{}", out(&known));
    let stale = play(BOT);
    assert_eq!(stale.status.code(), Some(1), "{}", out(&stale));
    assert!(out(&stale).contains("stale: the baseline expects `ack/once` to fail"));
}

#[tokio::test]
async fn a_mock_that_runs_elsewhere_is_driven_by_its_control_api() {
    let mock = mock_dingtalk::MockDingtalk::builder().admin_token("dingmock-secret");
    let mock = mock.start().await.unwrap();
    let play = |subject: String, case: &'static str, token: &'static str| {
        let url = mock.url().to_owned();
        let more = ["--mock", &url, "--admin-token", token].map(str::to_owned);
        tokio::task::spawn_blocking(move || {
            let mut arguments = vec!["run", "--subject", &subject, "--case", case];
            arguments.extend(more.iter().map(String::as_str));
            run(&arguments)
        })
    };
    let refused = play(BOT.to_owned(), "text/dm", "wrong").await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(out(&refused).contains("refused: "), "{}", out(&refused));
    let passed = play(BOT.to_owned(), "*", "dingmock-secret").await.unwrap();
    assert_eq!(passed.status.code(), Some(0), "{}", out(&passed));
    assert!(mock.apps().is_empty(), "what was played is gone");
    // The same twice at once: neither is in the other's way.
    let both = [(); 2].map(|()| play(BOT.to_owned(), "reconnect/half-open+*", "dingmock-secret"));
    for passed in both {
        let passed = passed.await.unwrap();
        assert_eq!(passed.status.code(), Some(0), "{}", out(&passed));
    }
    let failed =
        play(format!("{BOT} --broken double-ack"), "ack/once", "dingmock-secret").await.unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let text = out(&failed);
    let again = format!(" --mock {}/ --case ack/once --seed 1\n", mock.url());
    assert!(text.contains(&again) && !text.contains("dingmock-secret"), "{text}");
    assert!(text.contains("got 2 answers, not 1") && text.contains("journal: "), "{text}");
}

#[test]
fn a_bot_that_ends_is_said_to_have_ended() {
    let output = run(&["run", "--subject", "echo hello; exit 3", "--case", "hostile/raw-text"]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("the bot had ended: exit status: 3"), "{text}");
    assert!(text.contains("bot: hello"), "{text}");
}

#[test]
fn a_mock_that_does_not_answer_ends_the_run_whatever_the_baseline_knows() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("baseline.toml");
    fs::write(&file, "\"text/dm\" = \"known\"\n").unwrap();
    let mut arguments = vec!["run", "--subject", BOT, "--case", "text/dm"];
    arguments.extend(["--mock", "http://127.0.0.1:1", "--baseline", file.to_str().unwrap()]);
    let output = run(&arguments);
    assert_eq!((output.status.code(), out(&output)), (Some(69), ""));
    assert!(err(&output).contains("no mock answers at http://127.0.0.1:1"), "{}", err(&output));
}

#[test]
fn a_command_that_cannot_be_run_is_said_at_once() {
    let start = Instant::now();
    let output = run(&["run", "--subject", "/no/such/bot", "--case", "text/dm"]);
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert!(out(&output).contains("the bot had ended: exit status: 127"), "{}", out(&output));
    let output = run(&["run", "--subject", "/no/such/bot", "--jobs", "1"]);
    assert_eq!((output.status.code(), out(&output)), (Some(2), ""));
    let said = err(&output);
    assert!(said.contains("sh ended with 127") && said.contains("/no/such/bot"), "{said}");
    // Those that ended beside the last one are told, too.
    let failed = said.lines().filter(|line| line.starts_with("fail ")).count();
    assert!((3..10).contains(&failed), "{said}");
    // A bot that may still connect is given 30 s.
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
}

#[test]
fn where_the_report_cannot_go_is_known_before_and_costs_no_results_after() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let play = |subject: &str, report: &std::path::Path| {
        let report = report.to_str().unwrap();
        run(&["run", "--subject", subject, "--case", "text/dm", "--report", report])
    };
    let refused = play(BOT, &file.join("report"));
    assert_eq!((refused.status.code(), out(&refused)), (Some(74), ""));
    assert!(!err(&refused).contains(" ms  "), "nothing is played: {}", err(&refused));
    let report = dir.path().join("report");
    let subject = format!("rmdir '{0}'; touch '{0}'; exec {BOT}", report.display());
    let lost = play(&subject, &report);
    assert_eq!(lost.status.code(), Some(74), "{}", err(&lost));
    assert!(out(&lost).contains("passed: 1 cases: 1 pass"), "{}", out(&lost));
    assert!(err(&lost).contains("error: cannot write "), "{}", err(&lost));
}

#[test]
fn a_run_that_plays_nothing_has_not_passed_anything() {
    let output = run(&["run", "--subject", BOT, "--case", "text/group"]);
    assert_eq!(output.status.code(), Some(0));
    let text = out(&output);
    assert!(text.contains("nothing was played: 1 cases: 1 not-applicable"), "{text}");
}

/// The bot keeps a pipe open, whose end is seen when the last of its processes is gone.
#[cfg(unix)]
#[test]
fn a_signal_ends_the_bots_too_and_their_folders() {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Command, Stdio};

    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, temporary) = (dir.path().join("pipe"), dir.path().join("tmp"));
        fs::create_dir(&temporary).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let subject = format!("exec 3>'{}'; echo here >&3; sleep 600", pipe.display());
        let mut suite = Command::new(env!("CARGO_BIN_EXE_dingtalk-conformance"));
        suite
            .args(["run", "--subject", &subject, "--case", "text/dm"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .env("TMPDIR", &temporary)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut suite = suite.spawn().unwrap();
        let mut bot = BufReader::new(fs::File::open(&pipe).unwrap());
        bot.read_line(&mut String::new()).unwrap();
        let kill = Command::new("kill").args(["-s", signal, &suite.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(suite.wait().unwrap().code(), Some(code));
        let (told, gone) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send(bot.read_to_end(&mut Vec::new()).unwrap()));
        gone.recv_timeout(Duration::from_secs(10)).expect("the bot has ended");
        let left: Vec<_> = fs::read_dir(&temporary).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_bot_that_a_signal_ends_and_a_push_that_fails_are_told() {
    let play = |capability: &str, case: &str, code: i32| {
        let push = ["--push-cmd", "echo {target} {text}; exit 3", "--capabilities", capability];
        let output = run(&[&["run", "--subject", BOT, "--case", case][..], &push].concat());
        assert_eq!(output.status.code(), Some(code), "{}", out(&output));
        out(&output).to_owned()
    };
    let stopped = play("durable", "shutdown/idle", 0);
    // SHOULD: a warning.
    assert!(stopped.contains("step 3: ended with exit status: 143"), "{stopped}");
    let pushed = play("push", "push/person", 1);
    assert!(pushed.contains("the command for pushes ended with exit status: 3"), "{pushed}");
    assert!(pushed.contains("bot: user:user0001 good news"), "{pushed}");
    assert!(pushed.contains("--push-cmd 'echo {target} {text}; exit 3' --case push/person"));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_exit_code() {
    let none = run(&["run", "--subject", BOT, "--case", "nothing/like-this"]);
    assert_eq!(none.status.code(), Some(2));
    let (unknown, push) = (["--capabilities", "groups,telepathy"], ["--capabilities", "push"]);
    for (more, part) in [(unknown, "\"telepathy\"; there are cards, "), (push, "--push-cmd")] {
        let output = run(&[&["run", "--subject", BOT, "--case", "ack/once"][..], &more].concat());
        assert_eq!(output.status.code(), Some(2));
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(complaint.contains(part), "{complaint}");
    }
    let folder = run(&["list", "--dir", "no/such/folder"]);
    assert_eq!(folder.status.code(), Some(66));
    let listed = run(&["list"]);
    assert_eq!(listed.status.code(), Some(0));
    assert!(out(&listed).lines().last().unwrap().contains(" requirements ("), "{}", out(&listed));
}
