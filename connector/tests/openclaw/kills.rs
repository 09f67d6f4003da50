//! Processes that end in the middle of something.

use std::process::Stdio;
use std::time::Duration;

use mock_dingtalk::{Action, Fault, When};

use super::checks::{Ended, answered_slowly, say};
use super::lab::Lab;
use super::model::PIECES;

pub(super) fn killed_connector(lab: &mut Lab) {
    let before = answered_slowly(lab);
    lab.kill_connector();
    let sent = lab.wait(before, 1);
    assert!(sent[0].text.ends_with(&format!("word{}", PIECES - 1)), "{}", sent[0].text);
    let sentinel = lab.ask(&say("and now?"), 1);
    assert_eq!((sentinel.len(), lab.sent().len()), (1, before + 2), "{:?}", lab.sent());
}

pub(super) fn killed_gateway(lab: &mut Lab) {
    let before = answered_slowly(lab);
    lab.kill();
    assert!(!lab.sent()[before].finished, "it was killed in the middle of it");
    let marked = lab.app.reactions().unwrap().len();
    lab.runtime.block_on(lab.app.speak(&say("while it is down"))).unwrap();
    lab.until("who wrote sees that it has arrived", || lab.app.reactions().unwrap().len() > marked);
    lab.start();
    let whole = format!("word{}", PIECES - 1);
    let answered =
        |part: &str| lab.sent().iter().skip(before).filter(|row| row.text.contains(part)).count();
    lab.until("both are answered", || answered(&whole) == 1 && answered("while it is down") == 1);
    lab.ask(&say("and now?"), 1);
    assert_eq!((answered(&whole), answered("while it is down")), (1, 1), "{:?}", lab.sent());
    assert!(lab.sent().iter().all(|row| row.finished), "no card is left open");
}

pub(super) fn killed_both(lab: &mut Lab) {
    let before = answered_slowly(lab);
    lab.kill_connector();
    lab.kill();
    assert!(!lab.sent()[before].finished, "it was killed in the middle of it");
    lab.start();
    let whole = format!("word{}", PIECES - 1);
    let answers = || lab.sent().iter().skip(before).filter(|row| row.text.contains(&whole)).count();
    lab.until("it is answered", || answers() == 1);
    lab.ask(&say("and now?"), 1);
    assert_eq!(answers(), 1, "{:?}", lab.sent());
    assert!(lab.sent().iter().all(|row| row.finished), "no card is left open");
}

/// OpenClaw keeps what it sends, and asks the plugin what became of it when the sender has ended.
pub(super) fn cut_off_sends(lab: &mut Lab) {
    let send = |words: &'static str| {
        ["message", "send", "--channel", "ddingtalk", "--target", "user0002", "--message", words]
    };
    // DingTalk has it, and the sender never hears of it.
    let path = "/v1.0/robot/oToMessages/batchSend";
    let late = Action::Delay(Duration::from_secs(5));
    let late = lab.app.fault(Fault::once(When::Path(path.into()), late)).unwrap().id;
    let mut sender = lab.command("openclaw");
    sender.args(send("heard once")).stdout(Stdio::null()).stderr(Stdio::null());
    let sender = Ended::spawn(&mut sender);
    lab.until("it is being sent", || {
        lab.app.faults().unwrap().iter().all(|fault| fault.id != late || fault.hits > 0)
    });
    drop(sender);
    // The claim of who sends lasts 60 s.
    lab.until("OpenClaw learns that it was sent", || {
        lab.log().contains("reconciled unknown_after_send as already sent")
    });
    assert_eq!(arrived(lab, "heard once"), 1, "{:?}", lab.sent());
    // Nobody takes it; OpenClaw makes up for it when it runs again.
    lab.settled();
    lab.kill_connector();
    lab.kill();
    lab.until("the connector is gone", || lab.robot().is_null());
    let (code, text) = lab.openclaw(&send("made up for"));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("ddingtalk does not run; it starts with: openclaw gateway"), "{text}");
    lab.start();
    lab.until("it comes", || arrived(lab, "made up for") == 1);
    lab.ask(&say("and now?"), 1);
    assert_eq!(
        (arrived(lab, "heard once"), arrived(lab, "made up for")),
        (1, 1),
        "{:?}",
        lab.sent()
    );
}

fn arrived(lab: &Lab, words: &str) -> usize {
    lab.sent().iter().filter(|row| row.text.contains(words)).count()
}
