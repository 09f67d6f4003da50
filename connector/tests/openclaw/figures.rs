//! What it costs.

use std::time::{Duration, Instant};

use super::checks::say;
use super::lab::Lab;

/// How long answers take beyond the model, which answers at once; what each part takes of memory, and to start.
pub(super) fn figures(lab: &mut Lab) {
    const TEXTS: usize = 100;
    lab.ask(&say("/new"), 1);
    let (mut whole, mut inward, mut outward) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..TEXTS {
        let text = format!("text {n}.");
        let before = lab.sent().len();
        let begin = Instant::now();
        let answered = async {
            lab.app.speak(&say(&text)).await.unwrap();
            lab.app.wait_sent(before + 1).await.unwrap()
        };
        let sent = lab.runtime.block_on(answered).pop().unwrap();
        let end = Instant::now();
        assert!(sent.text.contains(&text), "{}", sent.text);
        let asked = lab.model.asked().into_iter().rfind(|asked| asked.text.contains(&text));
        let asked = asked.unwrap().at;
        whole.push(end - begin);
        inward.push(asked - begin);
        outward.push(end - asked);
    }
    println!("{TEXTS} texts, one after the other, of a model that answers at once:");
    for (what, times) in [
        ("latency over the model", &mut whole),
        ("  from DingTalk to the model", &mut inward),
        ("  from the model to DingTalk", &mut outward),
    ] {
        times.sort();
        println!("{what}: p50 {:?}, p99 {:?}", rank(times, 50), rank(times, 99));
    }
    let (gateway, children, connector) = lab.memory();
    println!(
        "resident: gateway {gateway} MiB, its children {children} MiB, connector {connector} MiB"
    );
    assert!(connector < gateway, "the connector is the small one");
    println!("starts of the gateway, until it is attached: {:?}", lab.starts);
    let begin = Instant::now();
    lab.kill_connector();
    lab.until("it is gone", || lab.robot()["attached"] != true);
    lab.until("it is back", || lab.robot()["attached"] == true);
    println!("a killed connector is back after {:?}", begin.elapsed());
    let begin = Instant::now();
    let (code, text) = lab.openclaw(&["--version"]);
    assert_eq!(code, 0, "{text}");
    println!("openclaw --version: {:?}", begin.elapsed());
}

/// The time that so many of a hundred do not pass; they are in order.
fn rank(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() * percent).div_ceil(100) - 1]
}
