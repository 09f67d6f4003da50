//! One budget of memory for all that an app remembers.
//!
//! Each sort of rows may take all of it as long as the others take little. Where they want more
//! together, the sort that takes the most gives up its oldest row, so that none is driven out by
//! another and all have the same share in the end.

use super::{app::App, journal::Journals, lifetime};

/// What an app remembers row by row.
#[derive(Debug, Clone, Copy)]
enum Sort {
    Journal,
    Sent,
    Deliveries,
    Sessions,
    Keys,
    Cards,
}

impl App {
    /// Forgets oldest rows until all of them take no more than they may. The newest row of each
    /// sort stays, and so does what is no row: people, connections, files.
    pub(crate) fn keep_within(&mut self, journals: &mut Journals) {
        loop {
            let sizes = [
                (Sort::Journal, journals.size_of(self.number)),
                (Sort::Sent, self.sent.size()),
                (Sort::Deliveries, self.deliveries.size()),
                (Sort::Sessions, self.sessions.size()),
                (Sort::Keys, self.api.pushes.size()),
                (Sort::Cards, self.api.cards.size()),
            ];
            let bytes: usize = sizes.iter().map(|(_, size)| size.bytes).sum();
            if bytes <= lifetime::APP_BYTES {
                return;
            }
            let with_old_rows = sizes.iter().filter(|(_, size)| size.rows > 1);
            match with_old_rows.max_by_key(|(_, size)| size.bytes) {
                Some((Sort::Journal, _)) => journals.forget_oldest(self.number),
                Some((Sort::Sent, _)) => self.sent.forget_oldest(drop),
                Some((Sort::Deliveries, _)) => self.deliveries.forget_oldest(),
                Some((Sort::Sessions, _)) => self.sessions.forget_oldest(),
                Some((Sort::Keys, _)) => self.api.pushes.forget_oldest(),
                Some((Sort::Cards, _)) => self.api.cards.forget_oldest(),
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::core::{
        App, AppOptions, Fleet, Moment,
        app::Cx,
        journal::{Draft, EntryKind},
        lifetime,
        sent::SentRow,
    };

    const NOW: Moment = Moment { since_start: Duration::ZERO, unix_ms: 1_780_000_000_000 };

    fn note(app: &mut App, cx: &mut Cx<'_>) {
        app.note(cx, Draft::new(EntryKind::FrameIn, "x").body("x".repeat(2_000).into()));
    }

    fn send(app: &mut App, cx: &mut Cx<'_>) {
        let row = SentRow {
            seq: app.sent.next_number(),
            via: "batchSend",
            to: "user0001".to_owned(),
            conversation_id: "cid".to_owned(),
            msgtype: "text".to_owned(),
            text: "x".repeat(1_000),
            media: None,
            raw: "x".repeat(1_000).into(),
            in_reply_to: None,
            process_query_key: None,
            recalled: false,
            finished: true,
            at: 0,
        };
        app.record_sent(cx, row);
    }

    /// Does something so many times. Of the journal and of what was sent: how many rows were
    /// dropped by then, and how many bytes are left.
    fn sizes(
        fleet: &mut Fleet,
        times: usize,
        what: fn(&mut App, &mut Cx<'_>),
    ) -> [(u64, usize); 2] {
        for _ in 0..times {
            fleet.with(NOW, fleet.number("a").unwrap(), what).unwrap();
        }
        let (_, dropped) = fleet.journal(Some("a"), 0, 0).unwrap();
        let look = |app: &mut App, cx: &mut Cx<'_>| {
            let journal = cx.journals.size_of(app.number).bytes;
            [(dropped, journal), (app.sent.dropped(), app.sent.size().bytes)]
        };
        fleet.with(NOW, fleet.number("a").unwrap(), look).unwrap()
    }

    #[test]
    fn sorts_share_the_budget_and_none_drives_another_out() {
        let mut fleet = Fleet::new(1);
        fleet.mint_app(NOW, AppOptions::default().client_id("a")).unwrap();
        let all = lifetime::APP_BYTES;

        let [(dropped, journal), _] = sizes(&mut fleet, 6_000, note);
        assert!(dropped > 0 && journal <= all && journal > all - 10_000, "alone it has all");

        let [(more, journal), (none, sent)] = sizes(&mut fleet, 1_000, send);
        assert!(more > dropped && none == 0, "what takes the most gives way: {more} {none}");
        assert!(journal + sent <= all && journal > sent);

        let [(_, journal), (some, sent)] = sizes(&mut fleet, 9_000, send);
        assert!(some > 0 && journal + sent <= all);
        assert!(journal.abs_diff(sent) < 10_000, "equal shares in the end: {journal} {sent}");

        let [(_, journal), (_, sent)] = sizes(&mut fleet, 9_000, note);
        assert!(journal.abs_diff(sent) < 10_000, "they stay equal: {journal} {sent}");
    }
}
