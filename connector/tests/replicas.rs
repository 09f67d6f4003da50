//! Several processes at one robot, on PostgreSQL: they are killed, cut off, and the database begins anew.
//!
//! ```sh
//! cargo test -p dingtalk-connector --test replicas                  # short
//! REPLICAS_MESSAGES=20000 REPLICAS_SECONDS=200 cargo test -p dingtalk-connector --test replicas storm   # long
//! REPLICAS_RESTARTS=20 cargo test -p dingtalk-connector --test replicas restarts                        # each process
//! REPLICAS_SEED=7 cargo test -p dingtalk-connector --test replicas storm
//! ```
//!
//! What must hold: every message that was acked is answered, answers of a chat come in the order of its messages,
//! no answer comes twice but through the one window that the program counts, and nothing is left in the store.
//! Without PostgreSQL (`initdb`, `pg_ctl`) the tests are skipped, counted and named with the
//! reason; with `REQUIRE_EXTERNAL=1` they fail.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]
#![expect(clippy::print_stdout, reason = "figures for people are what the long form is for")]

#[path = "it/chats.rs"]
mod chats;
#[path = "postgres/cluster.rs"]
mod cluster;
#[path = "replicas/failover.rs"]
mod failover;
#[path = "replicas/leaves.rs"]
mod leaves;
#[path = "it/ledger.rs"]
mod ledger;
#[path = "replicas/load.rs"]
mod load;
#[path = "replicas/process.rs"]
mod process;
#[path = "replicas/proxy.rs"]
mod proxy;
#[path = "replicas/restart.rs"]
mod restart;
#[path = "replicas/schedules.rs"]
mod schedules;
#[path = "postgres/secure.rs"]
mod secure;
#[path = "postgres/standby.rs"]
mod standby;
#[path = "replicas/storm.rs"]
mod storm;
#[path = "replicas/tls.rs"]
mod tls;
#[path = "replicas/trouble.rs"]
mod trouble;

use libtest_mimic::{Arguments, Failed, Trial};

type Work = std::pin::Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// Name and test.
type Named = (&'static str, fn() -> Work);

const TRIALS: [Named; 14] = [
    ("storm", || Box::pin(storm::play())),
    ("restarts_of_one_sent_once", || Box::pin(restart::one_sent_once())),
    ("restarts_of_one_sent_again", || Box::pin(restart::one_sent_again())),
    ("restarts_in_turn_sent_once", || Box::pin(restart::rolling_sent_once())),
    ("restarts_in_turn_sent_again", || Box::pin(restart::rolling_sent_again())),
    ("who_is_told_to_end_leaves_what_it_has_not_begun", || Box::pin(leaves::play())),
    ("schedules_fire_once_across_kills", || Box::pin(schedules::play())),
    ("failover_when_the_primary_is_killed", || Box::pin(failover::killed())),
    ("failover_when_the_primary_is_read_only", || Box::pin(failover::read_only())),
    ("the_database_speaks_tls", || Box::pin(tls::play())),
    ("the_database_is_away_at_start", || Box::pin(trouble::at_start())),
    ("the_database_goes_in_the_middle", || Box::pin(trouble::in_the_middle())),
    ("the_database_is_slow", || Box::pin(trouble::slow())),
    ("the_database_is_of_a_newer_release", || Box::pin(trouble::unfit())),
];

fn main() {
    let arguments = Arguments::from_args();
    let required = std::env::var("REQUIRE_EXTERNAL").is_ok_and(|v| v == "1");
    let there = cluster::programs().map(drop).ok_or("initdb and pg_ctl are not there");
    let trial = |(name, work): Named| match &there {
        Ok(()) => Trial::test(name, move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(work()).map_err(Failed::from)
        }),
        Err(reason) if required => {
            let reason = format!("REQUIRE_EXTERNAL=1, but {reason}");
            Trial::test(name, move || Err(Failed::from(reason)))
        }
        Err(reason) => {
            Trial::test(format!("{name} (skipped: {reason})"), || Ok(())).with_ignored_flag(true)
        }
    };
    libtest_mimic::run(&arguments, TRIALS.into_iter().map(trial).collect()).exit();
}
