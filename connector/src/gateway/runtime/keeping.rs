//! Frames are judged, and their messages kept and acked.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tracing::{Instrument, error, warn};

use super::Runtime;
use crate::gateway::intake::{Ids, Intake, Judged, Verdict};
use crate::gateway::queued::Notice;
use crate::gateway::replicas::Keeping;
use crate::gateway::seats::{OF_ONE, Seat};
use crate::gateway::work::{Halt, Task, Work};
use crate::protocol::MsgId;
use crate::store::inbox::Step;
use crate::store::replicas::Bucket;
use crate::store::{NewMessage, Place, StoreError, TakenIn};
use crate::stream::{Dispatched, FrameRef};
use crate::unix_time::now_ms;

/// How the keeping of a frame's message ended.
pub(super) struct Kept {
    frame: FrameRef,
    outcome: Outcome,
}

enum Outcome {
    New(Box<Work>, Place, Option<Keeping>),
    NotKept(StoreError, Box<(NewMessage, Judged)>, Option<Keeping>),
    /// What was queued before a repeat is dealt with. It was judged when `failed_keeps` messages had
    /// failed: as long as no other has, what it repeats is durable.
    Repeat {
        ids: Ids,
        failed_keeps: u64,
        passed: Result<(), StoreError>,
    },
}

impl Runtime {
    /// Judges a frame. Its ack goes out at once, or when its message is durable.
    pub(super) async fn take_in(&mut self, Dispatched { frame, data_frame }: Dispatched) {
        let kept = match self.intake.judge(&data_frame, Instant::now(), now_ms()) {
            Verdict::Ack(ack) => return self.stream.ack(frame, ack).await,
            Verdict::Repeat(ids) => {
                let failed_keeps = self.failed_keeps;
                let passed = self.tools.store.barrier();
                Box::pin(async move {
                    let outcome = Outcome::Repeat { ids, failed_keeps, passed: passed.await };
                    Kept { frame, outcome }
                }) as Pin<Box<dyn Future<Output = Kept> + Send>>
            }
            Verdict::Keep(keep) => {
                let (mut new, judged, task) = *keep;
                new.overtakes = task.overtakes(&*self.tools.agent);
                let Some(seat) = self.seat(&new, &judged, &task) else { return };
                let bucket = Bucket::of(&new.conversation_id);
                let keeping = self.replicas.as_ref().map(|others| others.shares().keep(bucket));
                let done = self.tools.store.take_in(new.clone());
                Box::pin(async move {
                    let received_at = new.received_at;
                    let outcome = match done.await {
                        Ok(TakenIn { id, place }) => {
                            let (message, thinking, seat) = (judged.message, None, Some(seat));
                            let work = Work { id, received_at, message, task, thinking, seat };
                            Outcome::New(Box::new(work), place, keeping)
                        }
                        Err(e) => Outcome::NotKept(e, Box::new((new, judged)), keeping),
                    };
                    Kept { frame, outcome }
                })
            }
        };
        self.keeping.push_back(kept);
    }

    /// A message is durable: it is acked and queued. One that is not is left to come again, and so is
    /// a repeat of it, even one that was judged when that was not known yet.
    pub(super) async fn kept(&mut self, Kept { frame, outcome }: Kept) -> Result<(), Halt> {
        match outcome {
            Outcome::New(mut work, place, keeping) => {
                self.complained = false;
                self.turned_away &= place != Place::Elsewhere;
                let message = work.id;
                if self.is_for_here(message, place, keeping) {
                    work.thinking = self.think(&work.message, &work.task);
                    self.queue(*work);
                }
                self.stream.ack(frame, Intake::accepted()).await;
                if place != Place::Repeat {
                    self.tools.store.note(Step::Acked { message, at: now_ms() });
                }
                return Ok(());
            }
            Outcome::Repeat { ids, failed_keeps, passed: Ok(()) }
                if failed_keeps == self.failed_keeps =>
            {
                self.intake.remember(&ids, Instant::now());
            }
            Outcome::Repeat { passed: Err(StoreError::Closed), .. }
            | Outcome::NotKept(StoreError::Closed, ..) => return Err(Halt::StoreGone),
            Outcome::Repeat { .. } => return Ok(()),
            Outcome::NotKept(e, not_kept, keeping) => {
                if let (Some(others), Some(keeping)) = (&self.replicas, keeping) {
                    others.shares().kept(keeping);
                }
                self.failed_keeps += 1;
                let (new, judged) = *not_kept;
                self.intake.forget(&new, &judged);
                if e == StoreError::NoRoom {
                    if !std::mem::replace(&mut self.turned_away, true) {
                        warn!("messages are not acked, so that they come again: {e}");
                    }
                } else if !std::mem::replace(&mut self.complained, true) {
                    error!(
                        "messages cannot be kept and are not acked, so that they come again: {e}"
                    );
                }
                return Ok(());
            }
        }
        self.stream.ack(frame, Intake::accepted()).await;
        Ok(())
    }

    /// A seat for a new message. Without one it is not kept and not acked, so that it comes again; until then it was
    /// never here.
    fn seat(&mut self, new: &NewMessage, judged: &Judged, task: &Task) -> Option<Seat> {
        match self.seats.take(&new.conversation_id, new.overtakes) {
            Ok(seat) => Some(seat),
            Err(full) => {
                let msg_id = new.msg_id.as_ref().map(MsgId::as_str);
                if full.is_news {
                    warn!(
                        msg_id, conversation = %new.conversation_id,
                        "{OF_ONE} messages of one chat wait: more are not acked, so that they come again, until it \
                         has room"
                    );
                    if let Task::Turn(turn) = task
                        && self.tools.peers.are_met(&judged.message, turn.standing)
                    {
                        let notice = Notice::of_full_chat(judged.message.clone());
                        let replier = Arc::clone(&self.tools.replier);
                        let tell = async move { notice.tell(&replier).await };
                        self.chores.spawn(tell.in_current_span());
                    }
                }
                self.intake.forget(new, judged);
                None
            }
        }
    }
}
