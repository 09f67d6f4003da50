//! The statements of schedules.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::statement::Changed;
use super::{Db, Done, Row, SqlStore, params};
use crate::agent::Say;
use crate::credential::ClientId;
use crate::store::schedules::{
    Claim, NewSchedule, RUNS, Run, RunId, RunState, Schedule, ScheduleId, ScheduleStore, Unended,
};
use crate::store::{Pending, StoreError};

/// In the order in which [`schedule`] reads them.
const COLUMNS: &str = "s.id, s.name, s.timing, s.target, s.task, s.missed, s.enabled, s.created_at, \
                       s.next_at";

impl<D> ScheduleStore for SqlStore<D> {
    fn add_schedule(&self, new: NewSchedule) -> Pending<ScheduleId> {
        self.work(move |db| {
            let id = db.insert(
                "INSERT INTO schedule
                     (client_id, name, timing, target, task, missed, enabled, created_at, next_at)
                 VALUES
                     (:client_id, :name, :timing, :target, :task, :missed, TRUE, :created_at, :next_at)",
                params! {
                    ":client_id": new.client_id.as_str(),
                    ":name": new.name,
                    ":timing": json(&new.timing)?,
                    ":target": new.to,
                    ":task": json(&new.task)?,
                    ":missed": json(&new.missed)?,
                    ":created_at": new.created_at,
                    ":next_at": new.next_at,
                },
            )?;
            db.tell(&new.client_id, Changed::Schedules)?;
            Ok(ScheduleId(id))
        })
    }

    fn schedules(&self, client_id: &ClientId) -> Pending<Vec<Schedule>> {
        let client_id = client_id.clone();
        self.work(move |db| {
            db.all(
                &format!(
                    "SELECT {COLUMNS} FROM schedule s WHERE client_id = :client_id ORDER BY id"
                ),
                params! { ":client_id": client_id.as_str() },
                schedule,
            )
        })
    }

    fn remove_schedule(&self, client_id: &ClientId, id: ScheduleId) -> Pending<bool> {
        let client_id = client_id.clone();
        self.work(move |db| {
            let removed = db.execute(
                "DELETE FROM schedule WHERE id = :id AND client_id = :client_id",
                params! { ":id": id.0, ":client_id": client_id.as_str() },
            )?;
            if removed > 0 {
                db.later(
                    "DELETE FROM schedule_run WHERE schedule_id = :id",
                    params! { ":id": id.0 },
                )?;
                db.tell(&client_id, Changed::Schedules)?;
            }
            Ok(removed > 0)
        })
    }

    fn switch_schedule(
        &self,
        client_id: &ClientId,
        id: ScheduleId,
        enabled: bool,
        next: Option<i64>,
    ) -> Pending<bool> {
        let client_id = client_id.clone();
        self.work(move |db| {
            let switched = db.execute(
                "UPDATE schedule SET enabled = :enabled, next_at = :next
                 WHERE id = :id AND client_id = :client_id",
                params! {
                    ":enabled": enabled,
                    ":next": next,
                    ":id": id.0,
                    ":client_id": client_id.as_str(),
                },
            )?;
            if switched > 0 {
                db.tell(&client_id, Changed::Schedules)?;
            }
            Ok(switched > 0)
        })
    }

    fn claim_runs(&self, claim: Claim) -> Pending<Option<Vec<RunId>>> {
        self.work(move |db| claim_runs(db, &claim))
    }

    fn begin_run(&self, client_id: &ClientId, id: ScheduleId, now: i64) -> Pending<Option<RunId>> {
        let client_id = client_id.clone();
        self.work(move |db| {
            let is_there = db.exists(
                "SELECT 1 FROM schedule WHERE id = :id AND client_id = :client_id",
                params! { ":id": id.0, ":client_id": client_id.as_str() },
            )?;
            is_there.then(|| insert(db, id, now, now, RunState::Running)).transpose()
        })
    }

    fn run_says(&self, run: RunId, says: Vec<Say>) -> Pending<()> {
        self.work(move |db| {
            db.later(
                "UPDATE schedule_run SET says = :says WHERE id = :id",
                params! { ":says": json(&says)?, ":id": run.0 },
            )
        })
    }

    fn end_run(
        &self,
        run: RunId,
        state: RunState,
        detail: Option<String>,
        now: i64,
    ) -> Pending<()> {
        self.work(move |db| {
            db.later(
                "UPDATE schedule_run SET state = :state, detail = :detail, ended_at = :now, says = NULL
                 WHERE id = :id",
                params! {
                    ":state": state.name(), ":detail": detail, ":now": now, ":id": run.0,
                },
            )
        })
    }

    fn unended_runs(&self, client_id: &ClientId) -> Pending<Vec<Unended>> {
        let client_id = client_id.clone();
        self.work(move |db| {
            let unended = |row: &dyn Row| {
                let says: Option<String> = row.get(11)?;
                Ok(Unended {
                    run: RunId(row.get(9)?),
                    schedule: schedule(row)?,
                    begun_at: row.get(10)?,
                    says: says.map(|says| parse(&says)).transpose()?,
                })
            };
            db.all(
                &format!(
                    "SELECT {COLUMNS}, r.id, r.begun_at, r.says
                     FROM schedule_run r JOIN schedule s ON s.id = r.schedule_id
                     WHERE r.ended_at IS NULL AND s.client_id = :client_id ORDER BY r.id"
                ),
                params! { ":client_id": client_id.as_str() },
                unended,
            )
        })
    }

    fn runs(&self, client_id: &ClientId, id: ScheduleId, at_most: usize) -> Pending<Vec<Run>> {
        let client_id = client_id.clone();
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        self.work(move |db| {
            db.all(
                "SELECT r.id, due_at, begun_at, ended_at, state, detail
                 FROM schedule_run r JOIN schedule s ON s.id = r.schedule_id
                 WHERE schedule_id = :id AND client_id = :client_id
                 ORDER BY r.id DESC LIMIT :at_most",
                params! {
                    ":id": id.0, ":client_id": client_id.as_str(), ":at_most": at_most,
                },
                run,
            )
        })
    }
}

fn claim_runs(db: &dyn Db, claim: &Claim) -> Done<Option<Vec<RunId>>> {
    let Claim { schedule, due, plan, busy, now } = claim;
    let is_due = db.execute(
        "UPDATE schedule SET next_at = :next WHERE id = :id AND enabled AND next_at = :due",
        params! { ":next": plan.next, ":id": schedule.0, ":due": due },
    )?;
    if is_due == 0 {
        return Ok(None);
    }
    if *busy {
        if let Some(last) = plan.runs.last() {
            leave_out(db, *schedule, *last, *now)?;
        }
        return Ok(Some(Vec::new()));
    }
    if let Some(missed) = plan.missed {
        insert(db, *schedule, missed, *now, RunState::Missed)?;
    }
    let mut runs = Vec::with_capacity(plan.runs.len());
    for due in &plan.runs {
        runs.push(insert(db, *schedule, *due, *now, RunState::Running)?);
    }
    Ok(Some(runs))
}

/// Notes that a run is left out. One row tells of all that the same earlier one leaves no room for, with the
/// last of their times: a history of them alone would be of no use.
fn leave_out(db: &dyn Db, schedule: ScheduleId, due: i64, now: i64) -> Done<()> {
    let noted = db.execute(
        "UPDATE schedule_run SET due_at = :due, begun_at = :now, ended_at = :now
         WHERE id = (SELECT MAX(id) FROM schedule_run WHERE schedule_id = :schedule_id)
           AND state = :busy",
        params! {
            ":due": due, ":now": now, ":schedule_id": schedule.0, ":busy": RunState::Busy.name(),
        },
    )?;
    if noted == 0 {
        insert(db, schedule, due, now, RunState::Busy)?;
    }
    Ok(())
}

/// Adds a run, and forgets the oldest ones.
fn insert(db: &dyn Db, schedule: ScheduleId, due: i64, now: i64, state: RunState) -> Done<RunId> {
    let ended = (state != RunState::Running).then_some(now);
    let id = db.insert(
        "INSERT INTO schedule_run (schedule_id, due_at, begun_at, ended_at, state)
         VALUES (:schedule_id, :due, :now, :ended, :state)",
        params! {
            ":schedule_id": schedule.0,
            ":due": due,
            ":now": now,
            ":ended": ended,
            ":state": state.name(),
        },
    )?;
    let oldest: Option<i64> = db.first(
        "SELECT id FROM schedule_run WHERE schedule_id = :schedule_id
         ORDER BY id DESC LIMIT 1 OFFSET :kept",
        params! { ":schedule_id": schedule.0, ":kept": RUNS },
        |row| row.get(0),
    )?;
    if let Some(oldest) = oldest {
        db.later(
            "DELETE FROM schedule_run
             WHERE schedule_id = :schedule_id AND id <= :oldest AND ended_at IS NOT NULL",
            params! { ":schedule_id": schedule.0, ":oldest": oldest },
        )?;
    }
    Ok(RunId(id))
}

fn schedule(row: &dyn Row) -> Done<Schedule> {
    Ok(Schedule {
        id: ScheduleId(row.get(0)?),
        name: row.get(1)?,
        timing: parse(&row.get::<String>(2)?)?,
        to: row.get(3)?,
        task: parse(&row.get::<String>(4)?)?,
        missed: parse(&row.get::<String>(5)?)?,
        enabled: row.get(6)?,
        created_at: row.get(7)?,
        next_at: row.get(8)?,
    })
}

fn run(row: &dyn Row) -> Done<Run> {
    let state: String = row.get(4)?;
    Ok(Run {
        id: RunId(row.get(0)?),
        due_at: row.get(1)?,
        begun_at: row.get(2)?,
        ended_at: row.get(3)?,
        // Of a newer release.
        state: RunState::ALL
            .into_iter()
            .find(|known| known.name() == state)
            .unwrap_or(RunState::Failed),
        detail: row.get(5)?,
    })
}

fn json<T: Serialize>(value: &T) -> Done<String> {
    serde_json::to_string(value)
        .map_err(|e| StoreError::Failed(format!("a schedule cannot be written: {e}")))
}

fn parse<T: DeserializeOwned>(text: &str) -> Done<T> {
    serde_json::from_str(text)
        .map_err(|e| StoreError::Failed(format!("a schedule cannot be read: {e}")))
}
