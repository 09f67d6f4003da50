//! Keys by which a caller that asks again is recognised.

use std::collections::{HashMap, VecDeque};

use super::{Outcomes, Push, PushError};

/// Keys that are remembered.
const KEYS: usize = 1_024;

/// What was pushed under which key. Pure.
#[derive(Debug, Default)]
pub(super) struct Once {
    pushes: HashMap<String, (Push, Option<Outcomes>)>,
    /// Oldest first.
    order: VecDeque<String>,
}

impl Once {
    /// A push with a key is to be sent, unless it was: then its outcome is returned.
    pub(super) fn begin(&mut self, push: &Push) -> Result<Option<Outcomes>, PushError> {
        let Some(key) = &push.key else { return Ok(None) };
        match self.pushes.get(key) {
            Some((earlier, _)) if earlier != push => Err(PushError::KeyReused(key.clone())),
            Some((_, Some(outcomes))) => Ok(Some(outcomes.clone())),
            Some((_, None)) => Err(PushError::UnderWay(key.clone())),
            None => {
                if self.order.len() >= KEYS
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.pushes.remove(&oldest);
                }
                self.order.push_back(key.clone());
                self.pushes.insert(key.clone(), (push.clone(), None));
                Ok(None)
            }
        }
    }

    /// It was sent.
    pub(super) fn end(&mut self, key: &str, outcomes: Outcomes) {
        if let Some((_, known)) = self.pushes.get_mut(key) {
            *known = Some(outcomes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;
    use crate::agent::Say;

    fn push(key: String, text: &str) -> Push {
        Push { to: vec!["u".parse().unwrap()], say: Say::text(text), key: Some(key) }
    }

    #[test]
    fn a_key_is_sent_once_and_names_one_message() {
        let mut once = Once::default();
        let hello = push("k".to_owned(), "hello");
        assert_eq!(once.begin(&hello), Ok(None));
        assert_eq!(once.begin(&hello), Err(PushError::UnderWay("k".to_owned())));
        let outcomes = vec![(hello.to[0].clone(), Outcome::Invalid)];
        once.end("k", outcomes.clone());
        assert_eq!(once.begin(&hello), Ok(Some(outcomes)));
        let other = push("k".to_owned(), "other");
        assert_eq!(once.begin(&other), Err(PushError::KeyReused("k".to_owned())));
        for n in 0..KEYS {
            assert_eq!(once.begin(&push(format!("more {n}"), "x")), Ok(None));
        }
        assert_eq!(once.begin(&other), Ok(None), "old keys are forgotten");
        assert_eq!((once.order.len(), once.pushes.len()), (KEYS, KEYS));
    }
}
