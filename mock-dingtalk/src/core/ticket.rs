//! Tickets: what `connections/open` hands out and one WebSocket upgrade uses up.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{Moment, app::AppNumber, base_url::BaseUrl, lifetime};

/// What a bot asked for in `connections/open`; it becomes the connection's.
#[derive(Debug, Clone)]
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

#[derive(Debug)]
struct Ticket {
    app: AppNumber,
    expires: Duration,
    open: Option<OpenCall>,
}

/// All tickets of a mock. Used and expired ones stay as long again, to tell them from unknown ones.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    by_id: HashMap<String, Ticket>,
    order: VecDeque<(Duration, String)>,
}

impl Tickets {
    pub(crate) fn issue(&mut self, id: String, app: AppNumber, open: OpenCall, now: Moment) {
        self.forget_old(now);
        let expires = now.since_start.saturating_add(lifetime::TICKET);
        self.order.push_back((expires.saturating_add(lifetime::TICKET), id.clone()));
        self.by_id.insert(id, Ticket { app, expires, open: Some(open) });
    }

    /// The app that a ticket was issued for, used or not.
    pub(crate) fn app(&self, id: &str) -> Option<AppNumber> {
        self.by_id.get(id).map(|ticket| ticket.app)
    }

    /// Uses a ticket up.
    pub(crate) fn redeem(
        &mut self,
        id: &str,
        now: Moment,
    ) -> Result<(AppNumber, OpenCall), TicketRefusal> {
        let ticket = self.by_id.get_mut(id).ok_or(TicketRefusal::Unknown)?;
        if ticket.open.is_some() && ticket.expires <= now.since_start {
            return Err(TicketRefusal::Expired(ticket.app));
        }
        let open = ticket.open.take().ok_or(TicketRefusal::Used(ticket.app))?;
        Ok((ticket.app, open))
    }

    /// All tickets that are remembered.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(String::as_str)
    }

    /// Unused, unexpired tickets of one app.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn forget_app(&mut self, app: AppNumber) {
        self.by_id.retain(|_, ticket| ticket.app != app);
    }

    pub(crate) fn clear(&mut self) {
        self.by_id.clear();
        self.order.clear();
    }

    fn forget_old(&mut self, now: Moment) {
        while self
            .order
            .front()
            .is_some_and(|(until, _)| *until <= now.since_start || self.order.len() > MAX)
        {
            if let Some((_, id)) = self.order.pop_front() {
                self.by_id.remove(&id);
            }
        }
    }
}

/// Tickets remembered at once, over all apps.
const MAX: usize = 200_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{OpenCall, TicketRefusal, Tickets};
    use crate::core::{BaseUrl, Moment, app::AppNumber};

    #[test]
    fn a_ticket_opens_once_and_within_ninety_seconds() {
        let open = || OpenCall {
            subscriptions: Vec::new(),
            ua: String::new(),
            local_ip: None,
            base: BaseUrl::plain("x"),
        };
        let at = |ms| Moment { since_start: Duration::from_millis(ms), unix_ms: 0 };
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
    }
}
