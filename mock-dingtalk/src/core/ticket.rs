//! Tickets: what `connections/open` hands out and one WebSocket upgrade uses up.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{app::AppNumber, base_url::BaseUrl, lifetime};

/// What a bot asked for in `connections/open`; it becomes the connection's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenCall {
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) ua: String,
    pub(crate) local_ip: Option<String>,
    pub(crate) base: BaseUrl,
}

/// A pair of `type` and `topic`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Subscription {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) topic: String,
}

/// Why a ticket opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TicketRefusal {
    Unknown,
    Expired(AppNumber),
    Used(AppNumber),
}

#[derive(Debug, Clone)]
struct Ticket {
    app: AppNumber,
    /// On the app's clock, as every time here.
    expires: Duration,
    open: Option<Arc<OpenCall>>,
}

/// All tickets of a mock. Used and expired ones stay as long again, to tell them from unknown ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tickets {
    by_id: HashMap<Arc<str>, Ticket>,
    /// Until when each app's tickets are remembered, in the order of issuing.
    by_app: HashMap<AppNumber, VecDeque<(Duration, Arc<str>)>>,
    /// The order of issuing over all apps.
    order: VecDeque<Arc<str>>,
    /// A bot opens with the same words every time, so that most tickets can share them.
    last: Option<Arc<OpenCall>>,
}

impl Tickets {
    /// Issues a ticket to an app whose clock shows `now`.
    pub(crate) fn issue(&mut self, id: String, app: AppNumber, open: OpenCall, now: Duration) {
        let id: Arc<str> = id.into();
        let expires = now.saturating_add(lifetime::TICKET);
        let known = self.by_app.entry(app).or_default();
        while known
            .front()
            .is_some_and(|(until, _)| *until <= now || known.len() >= lifetime::CONNECTIONS_PER_APP)
        {
            if let Some((_, old)) = known.pop_front() {
                self.by_id.remove(&old);
            }
        }
        known.push_back((expires.saturating_add(lifetime::TICKET), Arc::clone(&id)));
        let open = self.shared(open);
        self.by_id.insert(Arc::clone(&id), Ticket { app, expires, open: Some(open) });
        self.order.push_back(id);
        while self.order.len() > MAX {
            if let Some(old) = self.order.pop_front() {
                self.by_id.remove(&old);
            }
        }
    }

    /// The app that a ticket was issued for, used or not.
    pub(crate) fn app(&self, id: &str) -> Option<AppNumber> {
        self.by_id.get(id).map(|ticket| ticket.app)
    }

    /// Uses a ticket up. `now` is on the clock of the app that it was issued for.
    pub(crate) fn redeem(
        &mut self,
        id: &str,
        now: Duration,
    ) -> Result<(AppNumber, Arc<OpenCall>), TicketRefusal> {
        let ticket = self.by_id.get_mut(id).ok_or(TicketRefusal::Unknown)?;
        if ticket.open.is_some() && ticket.expires <= now {
            return Err(TicketRefusal::Expired(ticket.app));
        }
        let open = ticket.open.take().ok_or(TicketRefusal::Used(ticket.app))?;
        Ok((ticket.app, open))
    }

    /// Makes a ticket good again, which only a mock does that is wrong on purpose.
    pub(crate) fn give_back(&mut self, id: &str, open: &Arc<OpenCall>) {
        if let Some(ticket) = self.by_id.get_mut(id) {
            ticket.open = Some(Arc::clone(open));
        }
    }

    /// All tickets that are remembered.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(|id| &**id)
    }

    /// How many tickets are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn forget_app(&mut self, app: AppNumber) {
        for (_, id) in self.by_app.remove(&app).unwrap_or_default() {
            self.by_id.remove(&id);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn shared(&mut self, open: OpenCall) -> Arc<OpenCall> {
        let same = self.last.take().filter(|last| **last == open);
        Arc::clone(self.last.insert(same.unwrap_or_else(|| Arc::new(open))))
    }
}

/// Tickets of all apps that are remembered: the last ones issued.
const MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{OpenCall, TicketRefusal, Tickets};
    use crate::core::{BaseUrl, app::AppNumber};

    #[test]
    fn a_ticket_opens_once_and_within_ninety_seconds() {
        let open = || OpenCall {
            subscriptions: Vec::new(),
            ua: String::new(),
            local_ip: None,
            base: BaseUrl::plain("x"),
        };
        let at = Duration::from_millis;
        let app = AppNumber(1);
        let mut tickets = Tickets::default();
        tickets.issue("a".to_owned(), app, open(), at(0));
        tickets.issue("b".to_owned(), app, open(), at(0));
        assert!(tickets.redeem("a", at(89_999)).is_ok());
        assert_eq!(tickets.redeem("a", at(89_999)).err(), Some(TicketRefusal::Used(app)));
        assert_eq!(tickets.redeem("b", at(90_000)).err(), Some(TicketRefusal::Expired(app)));
        assert_eq!(tickets.redeem("c", at(0)).err(), Some(TicketRefusal::Unknown));
        tickets.issue("d".to_owned(), app, open(), at(180_000));
        assert_eq!(tickets.len(), 1, "old tickets are forgotten");
        let other = AppNumber(2);
        tickets.issue("e".to_owned(), other, open(), at(9_000_000));
        assert!(tickets.redeem("d", at(180_001)).is_ok(), "another app's clock says nothing");
        tickets.forget_app(other);
        assert_eq!(tickets.redeem("e", at(0)).err(), Some(TicketRefusal::Unknown));
    }
}
