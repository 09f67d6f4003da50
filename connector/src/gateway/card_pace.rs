//! How often a card changes: what waits is replaced by what is newer, nothing goes out too often, and
//! the last words always do. Pure: the time is given.

use std::time::{Duration, Instant};

/// The pause between two changes of a card, the same for all cards of an app, since they share its limit
/// of calls: doubled by each refusal, and brought back little by little.
#[derive(Debug)]
pub(super) struct Pace {
    base: Duration,
    current: Duration,
}

/// No pause is longer.
const SLOWEST: Duration = Duration::from_secs(8);

impl Pace {
    pub(super) fn new(base: Duration) -> Self {
        Self { base, current: base }
    }

    /// The pause after a change.
    pub(super) fn interval(&self) -> Duration {
        self.current
    }

    /// A change was refused, since calls come too fast. Returns the pause until the next.
    pub(super) fn refused(&mut self, retry_after: Option<Duration>) -> Duration {
        self.current = (self.current * 2).min(SLOWEST).max(self.base);
        self.current.max(retry_after.unwrap_or_default().min(SLOWEST))
    }

    /// A change was taken.
    pub(super) fn taken(&mut self) {
        self.current = (self.current * 7 / 8).max(self.base);
    }
}

/// The words of one card that wait to be shown.
#[derive(Debug)]
pub(super) struct Frames {
    waiting: Option<Frame>,
    shown: String,
    not_before: Instant,
}

/// Words to be shown, and the `guid` of the call that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) content: String,
    pub(super) guid: String,
}

impl Frames {
    /// Nothing goes out before `not_before`.
    pub(super) fn new(not_before: Instant) -> Self {
        Self { waiting: None, shown: String::new(), not_before }
    }

    /// Words so far; they replace those that wait.
    pub(super) fn offer(&mut self, content: String) {
        let latest = self.waiting.as_ref().map_or(&self.shown, |frame| &frame.content);
        if *latest != content {
            let guid = uuid::Uuid::new_v4().to_string();
            self.waiting = Some(Frame { content, guid });
        }
    }

    /// When something is to be done; `None` while nothing waits.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.as_ref().map(|_| self.not_before)
    }

    /// Takes what waits, if its time has come. The next goes out after `interval`.
    pub(super) fn take(&mut self, now: Instant, interval: Duration) -> Option<Frame> {
        if now < self.not_before {
            return None;
        }
        let frame = self.waiting.take()?;
        self.not_before = now + interval;
        Some(frame)
    }

    /// What was taken is shown.
    pub(super) fn taken(&mut self, frame: Frame) {
        self.shown = frame.content;
    }

    /// What was taken is not shown, or not known to be. It goes out again, as the same call, unless
    /// there is something newer by then.
    pub(super) fn put_back(&mut self, frame: Frame, not_before: Instant) {
        self.waiting.get_or_insert(frame);
        self.not_before = self.not_before.max(not_before);
    }

    /// The newest words, shown or not.
    pub(super) fn latest(&self) -> &str {
        self.waiting.as_ref().map_or(&self.shown, |frame| &frame.content)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Offer,
        Wait(u64),
        /// A try, and how it ends.
        Try(End),
    }

    #[derive(Debug, Clone, Copy)]
    enum End {
        Taken,
        Refused,
        Lost,
    }

    fn step() -> impl Strategy<Value = Step> {
        let end = prop_oneof![4 => Just(End::Taken), 2 => Just(End::Refused), 1 => Just(End::Lost)];
        prop_oneof![
            3 => Just(Step::Offer),
            3 => (0..900_u64).prop_map(Step::Wait),
            4 => end.prop_map(Step::Try),
        ]
    }

    proptest! {
        #[test]
        fn changes_are_in_order_never_too_often_and_the_last_words_come_out(
            steps in proptest::collection::vec(step(), 0..300),
        ) {
            let base = Duration::from_millis(400);
            let start = Instant::now();
            let (mut now, mut pace) = (start, Pace::new(base));
            let mut frames = Frames::new(start);
            let mut offered = 0_u64;
            let mut last_call: Option<(Instant, Duration, Frame, bool)> = None;
            // In the end there is time for everything.
            let ending = (0..4).flat_map(|_| [Step::Wait(60_000), Step::Try(End::Taken)]);
            for step in steps.into_iter().chain(ending) {
                match step {
                    Step::Offer => {
                        offered += 1;
                        frames.offer(offered.to_string());
                    }
                    Step::Wait(ms) => now += Duration::from_millis(ms),
                    Step::Try(end) => {
                        prop_assert!(pace.interval() >= base && pace.interval() <= SLOWEST);
                        let Some(frame) = frames.take(now, pace.interval()) else { continue };
                        if let Some((at, least, before, taken)) = &last_call {
                            prop_assert!(now >= *at + *least, "too early");
                            let number = |frame: &Frame| frame.content.parse::<u64>().unwrap();
                            prop_assert!(number(&frame) >= number(before), "older words");
                            prop_assert!(!taken || frame != *before, "shown twice");
                            let same = frame.content == before.content;
                            prop_assert_eq!(same, frame.guid == before.guid, "one guid a call");
                        }
                        let taken = matches!(end, End::Taken);
                        let mut least = base;
                        match end {
                            End::Taken => {
                                pace.taken();
                                frames.taken(frame.clone());
                            }
                            End::Refused => {
                                least = pace.refused(None);
                                prop_assert!(least >= (2 * base).min(SLOWEST));
                                frames.put_back(frame.clone(), now + least);
                            }
                            End::Lost => frames.put_back(frame.clone(), now),
                        }
                        last_call = Some((now, least, frame, taken));
                    }
                }
                prop_assert_eq!(frames.latest() == "", offered == 0);
            }
            prop_assert_eq!(frames.due(), None);
            if offered > 0 {
                prop_assert_eq!(&frames.shown, &offered.to_string());
            }
        }
    }

    #[test]
    fn the_pace_goes_back_to_its_base() {
        let base = Duration::from_millis(500);
        let mut pace = Pace::new(base);
        for expected in [1_000, 2_000, 4_000, 8_000, 8_000] {
            assert_eq!(pace.refused(None), Duration::from_millis(expected));
        }
        let steps = (1..100).find(|_| {
            pace.taken();
            pace.interval() == base
        });
        assert_eq!(steps, Some(21));
        let asked = Some(Duration::from_secs(3));
        assert_eq!(pace.refused(asked), Duration::from_secs(3), "as the server asked");
    }
}
