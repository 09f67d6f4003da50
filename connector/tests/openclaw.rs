//! The plugin in a real OpenClaw gateway, with the mock as DingTalk and a model of the test's own.
//!
//! It needs OpenClaw and its Node (`.ci/install-openclaw`). Without them the tests are skipped, counted and named with
//! the reason; with `REQUIRE_EXTERNAL=1` they fail. `OPENCLAW_FULL=1` adds those that take long.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]
#![expect(clippy::print_stdout, reason = "figures for people are what the long form is for")]

#[path = "openclaw/chat.rs"]
mod chat;
#[path = "openclaw/checks.rs"]
mod checks;
#[path = "openclaw/figures.rs"]
mod figures;
#[path = "openclaw/files.rs"]
mod files;
#[path = "openclaw/kills.rs"]
mod kills;
#[path = "openclaw/lab.rs"]
mod lab;
#[path = "openclaw/model.rs"]
mod model;
#[path = "openclaw/pushes.rs"]
mod pushes;
#[path = "it/screen.rs"]
mod screen;
#[path = "openclaw/setup.rs"]
mod setup;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};

use self::lab::Lab;

/// One test: they share a gateway, and each leaves it running.
type Check = fn(&mut Lab);

fn main() {
    let mut arguments = Arguments::from_args();
    // One gateway, one person at it.
    arguments.test_threads = Some(1);
    let set = |name| std::env::var(name).is_ok_and(|value| value == "1");
    let full = set("OPENCLAW_FULL");
    let wanted =
        checks::SHORT.iter().chain(full.then_some(checks::LONG.iter()).into_iter().flatten());
    let trials = match bins() {
        Ok(bins) => {
            let lab = Arc::new(Mutex::new(Shared::None));
            let trials = wanted.map(|&(name, check)| {
                let (lab, bins) = (Arc::clone(&lab), bins.clone());
                Trial::test(name, move || run(&lab, &bins, name, check))
            });
            trials.collect()
        }
        Err(reason) if set("REQUIRE_EXTERNAL") => wanted
            .map(|&(name, _)| {
                let reason = format!("REQUIRE_EXTERNAL=1, but {reason}");
                Trial::test(name, move || Err(Failed::from(reason)))
            })
            .collect(),
        Err(reason) => wanted
            .map(|(name, _)| {
                Trial::test(format!("{name} (skipped: {reason})"), || Ok(()))
                    .with_ignored_flag(true)
            })
            .collect(),
    };
    libtest_mimic::run(&arguments, trials).exit();
}

/// Where Node and OpenClaw are.
fn bins() -> Result<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/install-openclaw");
    let found = Command::new(script).arg("--find").output();
    match found {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => Err("OpenClaw is not installed; run .ci/install-openclaw".to_owned()),
    }
}

/// The lab that all share, and why there is none.
type Shared = Option<Result<Lab, String>>;

fn run(lab: &Mutex<Shared>, bins: &str, name: &str, check: Check) -> Result<(), Failed> {
    let mut lab = lab.lock().unwrap_or_else(PoisonError::into_inner);
    let made = lab.get_or_insert_with(|| caught(|| checks::installed(Lab::new(bins))));
    match made {
        Ok(lab) => {
            let checked = caught(|| {
                // What is tried alone needs somebody who may talk to the robot, too.
                if !lab.approved && name != checks::PAIRING {
                    chat::pairing(lab);
                }
                check(lab);
            });
            checked.map_err(Failed::from)
        }
        Err(reason) => Err(Failed::from(format!("there is no gateway: {reason}"))),
    }
}

fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        text.unwrap_or_default()
    })
}
