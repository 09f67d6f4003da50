//! Calls of the HTTP APIs.

use std::sync::Arc;

use super::Fleet;
use crate::core::{
    Moment,
    app::Cx,
    effect::Effect,
    fault::{Action, Point},
    findings::{Rule, Secrets, Seen},
    foreign::foreign,
    http::{HttpAnswer, HttpCall, Plan},
    journal::{Diagnosis, Draft, EntryKind},
    openapi::{Owner, Reply, Routed},
    timer::Timers,
};

/// Letters of the path of a call that has no answer.
const UNMATCHED_PATH: usize = 1_000;

impl Fleet {
    /// A bot calls one of DingTalk's APIs. `routed` was made from `call`, outside any lock.
    pub(crate) fn http(&mut self, now: Moment, call: &HttpCall, routed: &Routed) -> HttpAnswer {
        let number = match routed.owner() {
            Owner::ClientId(id) => self.number(id.trim()),
            Owner::Number(number) => Some(*number).filter(|number| self.apps.contains_key(number)),
            Owner::Nobody => None,
        };
        // An id with blanks around it finds the app for faults and journal, and is refused below.
        let exact = match routed.owner() {
            Owner::ClientId(id) => id.trim() == id,
            _ => true,
        };
        let now = self.local(now, number);
        let mutations = self.mutations;
        let Self { apps, tickets, schedule, journals, effects, findings, .. } = self;
        let mut app = number.and_then(|number| apps.get_mut(&number));
        // Without an app nothing is planned.
        let mut nobodys = Timers::default();
        let timers = number.map_or(&mut nobodys, |number| schedule.of(number));
        let mut cx = Cx { now, effects, journals, timers };
        let point = Point::Call { method: &call.method, path: &call.path };
        let fault = app.as_mut().and_then(|app| app.faults.take(point, now.since_start));
        if routed.opens()
            && !routed.is_peers()
            && let Some(app) = &mut app
        {
            app.judge_open(&cx);
        }
        let instead = fault.as_ref().and_then(|fault| Reply::of_fault(fault, call.is_oapi()));
        let plan = Plan::of_fault(fault.as_ref(), now.since_start);
        let lenient = app.as_ref().is_some_and(|app| app.api.lenient);
        if instead.is_none() && routed.is_unmatched(lenient) {
            let number = self.unmatched.next_number();
            let path: String = call.path.chars().take(UNMATCHED_PATH).collect();
            self.unmatched.push(number, 0, format!("{} {path}", call.method), drop);
        }
        let silent = plan.is_silent();
        let reply = match instead {
            Some(reply) => reply,
            None if silent => Reply::ok(serde_json::Value::Null),
            None => {
                if let Some(app) = &mut app {
                    app.findings.answer_is_broken(fault.is_some());
                }
                let app = app.as_deref_mut().filter(|_| exact);
                routed.answer(&mut cx, app, tickets, call)
            }
        };
        let mint = app.as_mut().map_or(&mut self.mint, |app| &mut app.mint);
        let reply = match &fault {
            Some(Action::DownloadUrl(url)) => {
                reply.leading(|right| url.clone().unwrap_or_else(|| foreign(right)))
            }
            _ => reply,
        };
        let mut answer = reply.finish(mint);
        if let Some(Action::Redirect(to)) = &fault {
            let here = || foreign(&format!("{}{}?{}", call.base.http(), call.path, call.query));
            answer.location = Some(to.clone().unwrap_or_else(here));
        }
        mutations.spoil(call, &mut answer);
        answer.plan = plan;
        answer.owner = number;
        if fault == Some(Action::Truncate) {
            if let Some(file) = &mut answer.file {
                file.truncate(file.len() / 2);
            }
            let half = answer.body.floor_char_boundary(answer.body.len() / 2);
            answer.body = answer.body[..half].into();
        }
        let text = match answer.plan.remark() {
            Some(remark) => format!("{} {}: fault, {remark}", call.method, call.path),
            None => format!("{} {}", call.method, call.path),
        };
        let draft = Draft::new(EntryKind::Http, text)
            .body(call.journaled())
            .answered(if silent { 0 } else { answer.status }, Arc::clone(&answer.body))
            .diagnosis(answer.diagnosis.clone());
        let owner = app.as_ref().map(|app| (app.number, &app.client_id));
        let entry = cx.journals.add(now.unix_ms, owner, draft);
        let secrets = app.as_ref().map(|app| Secrets {
            client_secret: app.client_secret.clone(),
            token: app.token.last().map(str::to_owned),
        });
        let findings = app.map_or(findings, |app| &mut app.findings);
        findings.judge_call(now, entry.seq, call, routed, &answer, secrets.as_ref());
        cx.effects.push(Effect::Journaled(entry));
        if let (Some(number), Some(_)) = (number, &fault) {
            // Somebody may wait for the fault to act.
            cx.effects.push(Effect::Changed(number));
        }
        if let Some(app) = number.and_then(|number| apps.get_mut(&number)) {
            app.keep_within(journals);
            schedule.renew(app.number, &app.clock);
        }
        answer
    }

    /// Calls for which the mock has no answer, the last hundred of them.
    pub(crate) fn unmatched(&self) -> Vec<String> {
        self.unmatched.after(0).map(|(_, call)| call.clone()).collect()
    }

    /// Something was turned away before it could be told whose it was. `status` is 0 where it
    /// was no HTTP.
    pub(crate) fn turned_away(&mut self, now: Moment, what: &str, status: u16, why: Diagnosis) {
        let rule = why.rule.unwrap_or(Rule::TurnedAway);
        let mut seen = Seen::new(rule, what, why.problem.as_str(), why.expected.as_str());
        seen.see = Some(why.see.clone());
        self.findings.add(now.unix_ms, self.journals.next_seq(), seen);
        let draft = Draft::new(EntryKind::Http, what).answered(status, "".into());
        self.note(now, draft.diagnosis(Some(why)));
    }
}
