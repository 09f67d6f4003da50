//! A mock that is wrong in one way is noticed by exactly the probes that claim it, and the sound
//! one by none. Each probe is a small client over real sockets.
//!
//! `docs/mutations.md` is made of the same lists; `UPDATE_DOCS=1` writes it anew.

#[path = "mutations/cards.rs"]
mod cards;
#[path = "mutations/client.rs"]
mod client;
#[path = "mutations/credentials.rs"]
mod credentials;
#[path = "mutations/delivery.rs"]
mod delivery;
#[path = "mutations/page.rs"]
mod page;
#[path = "mutations/stage.rs"]
mod stage;
#[path = "mutations/time.rs"]
mod time;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use libtest_mimic::{Arguments, Failed, Trial};
use mock_dingtalk::MockDingtalk;
use tokio::{runtime::Runtime, task::JoinSet};

use crate::stage::Probe;

/// How long a client of the sound mock waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same where the mock is wrong and it may never come: what does come, comes at once.
const SHORT: Duration = Duration::from_secs(5);

fn probes() -> impl Iterator<Item = &'static Probe> {
    [credentials::PROBES, delivery::PROBES, time::PROBES, cards::PROBES].into_iter().flatten()
}

fn main() {
    let arguments = Arguments::from_args();
    // The HTTP client wants one even for plain HTTP.
    let provider = rustls::crypto::ring::default_provider();
    provider.install_default().expect("nobody installed one before");
    let runtime = Arc::new(Runtime::new().expect("threads can be had"));
    let sound = probes().map(|probe| {
        let runtime = Arc::clone(&runtime);
        let name = format!("the_sound_mock_passes::{}", probe.name);
        Trial::test(name, move || Ok(runtime.block_on(probe.play(None, PATIENCE))?))
    });
    let wrong = MockDingtalk::mutations().map(|(mutation, _)| {
        let runtime = Arc::clone(&runtime);
        let name = format!("a_wrong_mock_is_noticed::{mutation}");
        Trial::test(name, move || runtime.block_on(noticed(mutation)))
    });
    let page = Trial::test("the_page_says_the_same", || page::check().map_err(Failed::from));
    libtest_mimic::run(&arguments, sound.chain(wrong).chain([page]).collect()).exit();
}

/// Whether exactly those probes notice that claim to.
async fn noticed(mutation: &'static str) -> Result<(), Failed> {
    let claimed: BTreeSet<_> =
        probes().filter(|probe| probe.notices.contains(&mutation)).map(|p| p.name).collect();
    if claimed.is_empty() {
        return Err(Failed::from("no probe claims to notice it"));
    }
    let mut playing = JoinSet::new();
    for probe in probes() {
        playing.spawn(async move { (probe.name, probe.play(Some(mutation), SHORT).await) });
    }
    let (mut found, mut told) = (BTreeSet::new(), String::new());
    while let Some(played) = playing.join_next().await {
        if let (name, Err(what)) = played.map_err(|error| Failed::from(error.to_string()))? {
            found.insert(name);
            told += "\n";
            told += name;
            told += ": ";
            told += &what;
        }
    }
    if found == claimed {
        return Ok(());
    }
    Err(Failed::from(format!("{claimed:?} claim it, {found:?} noticed it:{told}")))
}
