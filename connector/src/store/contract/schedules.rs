//! Schedules, and their runs.

use super::super::schedules::{Claim, NewSchedule, RUNS, RunState, Schedule, Task};
use super::super::{Store, StoreError};
use super::text;
use crate::credential::ClientId;
use crate::schedule::{Missed, Plan, Timing};

/// A run is taken once, with the next time; what an earlier process began is found again.
pub(in crate::store) async fn schedules_and_their_runs_are_kept<S: Store>(
    open: impl Fn() -> Result<S, StoreError>,
) {
    let (app, other) = (ClientId::new("app"), ClientId::new("other"));
    let store = open().unwrap();
    let new = NewSchedule {
        client_id: app.clone(),
        name: Some("早报".to_owned()),
        timing: Timing::Every { ms: 1_000, from: 0 },
        to: "user:u".to_owned(),
        task: Task::Agent("news".to_owned()),
        missed: Missed::All,
        created_at: 1,
        next_at: Some(1_000),
    };
    let id = store.add_schedule(new.clone()).await.unwrap();
    let second = store.add_schedule(NewSchedule { name: None, ..new.clone() }).await.unwrap();
    drop(store);
    let store = open().unwrap();
    let all = store.schedules(&app).await.unwrap();
    assert_eq!(all.iter().map(|one| one.id).collect::<Vec<_>>(), [id, second]);
    let NewSchedule { client_id: _, name, timing, to, task, missed, created_at, next_at } =
        new.clone();
    let kept = Schedule { id, name, timing, to, task, missed, enabled: true, created_at, next_at };
    assert_eq!(all[0], kept);
    assert!(store.schedules(&other).await.unwrap().is_empty());

    let claim = |due| Claim {
        schedule: id,
        due,
        plan: Plan { runs: vec![2_000, 3_000], missed: Some(1_000), next: Some(4_000) },
        busy: false,
        now: 3_500,
    };
    assert_eq!(store.claim_runs(claim(999)).await.unwrap(), None, "not due then");
    let runs = store.claim_runs(claim(1_000)).await.unwrap().unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!(store.claim_runs(claim(1_000)).await.unwrap(), None, "taken");
    // All that one run leaves no room for is one row.
    for due in 4_000..9_000 {
        let plan = Plan { runs: vec![due, due + 1], missed: Some(1), next: Some(due + 1) };
        let claim = Claim { schedule: id, due, plan, busy: true, now: due };
        assert!(store.claim_runs(claim).await.unwrap().unwrap().is_empty());
    }
    let says = vec![text("a"), text("b")];
    store.run_says(runs[1], says.clone()).await.unwrap();
    store.end_run(runs[0], RunState::Failed, Some("no".to_owned()), 9).await.unwrap();
    assert_eq!(store.begin_run(&other, id, 5).await.unwrap(), None);
    drop(store);
    let store = open().unwrap();
    let left = store.unended_runs(&app).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].run, left[0].begun_at, &left[0].says), (runs[1], 3_500, &Some(says)));
    assert_eq!(left[0].schedule.id, id);
    assert!(store.unended_runs(&other).await.unwrap().is_empty());
    let states = async |store: &S| {
        let runs = store.runs(&app, id, 99).await.unwrap();
        runs.into_iter().map(|run| (run.due_at, run.state)).collect::<Vec<_>>()
    };
    let missed = |due| (due, RunState::Missed);
    let (running, failed) = ((3_000, RunState::Running), (2_000, RunState::Failed));
    let expected = [(9_000, RunState::Busy), running, failed, missed(1_000)];
    assert_eq!(states(&store).await, expected);
    let newest = store.runs(&app, id, 1).await.unwrap();
    assert_eq!((newest.len(), newest[0].ended_at), (1, Some(8_999)));
    assert!(store.runs(&other, id, 9).await.unwrap().is_empty());

    assert!(store.switch_schedule(&app, id, false, Some(7_000)).await.unwrap());
    assert_eq!(store.claim_runs(claim(7_000)).await.unwrap(), None, "switched off");
    assert!(!store.switch_schedule(&other, id, true, None).await.unwrap());
    // The oldest go, but not the one that is not over.
    for now in 0..RUNS {
        let run = store.begin_run(&app, second, now).await.unwrap().unwrap();
        if now > 0 {
            store.end_run(run, RunState::Done, None, now).await.unwrap();
        }
    }
    store.begin_run(&app, second, RUNS).await.unwrap();
    store.begin_run(&app, second, RUNS + 1).await.unwrap();
    let runs = store.runs(&app, second, 999).await.unwrap();
    let due: Vec<_> = runs.iter().rev().map(|run| run.due_at).take(2).collect();
    assert_eq!((runs.len(), due), (101, vec![0, 2]));
    assert!(!store.remove_schedule(&other, second).await.unwrap());
    assert!(store.remove_schedule(&app, second).await.unwrap());
    assert!(!store.remove_schedule(&app, second).await.unwrap());
    assert!(store.add_schedule(new).await.unwrap() > second, "no id comes twice");
}
