//! How long things live, and how many of them are kept.

use std::time::Duration;

/// A ticket opens one connection within this time (developerpedia, stream/protocol).
pub(crate) const TICKET: Duration = Duration::from_secs(90);
/// An access token, from the last call that handed it out (KB 0033).
pub(crate) const ACCESS_TOKEN: Duration = Duration::from_hours(2);
/// A `sessionWebhook`, from the message it came with (derived from ten documented samples).
pub(crate) const SESSION_WEBHOOK: Duration = Duration::from_mins(90);
/// From SYSTEM `disconnect` to the end of the TCP connection (developerpedia, stream/protocol).
pub(crate) const DISCONNECT_GRACE: Duration = Duration::from_secs(10);
/// Between two SYSTEM pings. No document gives it; users report 20 s to 30 s.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(30);
/// An EVENT that is not acknowledged in this time is pushed again (KB appendix-b).
pub(crate) const EVENT_ACK: Duration = Duration::from_secs(3);
/// A press on a card has to be answered in this time (KB interactive cards 0007).
pub(crate) const PRESS_ACK: Duration = Duration::from_secs(2);
/// The gaps between the tries of an EVENT. Count and schedule are not documented.
pub(crate) const EVENT_GAPS: [Duration; 2] = [Duration::from_secs(10), Duration::from_mins(1)];

/// Bytes of memory that the journal, sent rows, deliveries, cards, sessions and keys of messages
/// of one app may take together (`core/budget.rs`). With it, a million requests leave the mock
/// under 32 MB (`benches/bounds.rs`).
pub(crate) const APP_BYTES: usize = 8 << 20;
/// Bytes of memory that the journal of calls which belong to no app may take.
pub(crate) const NOBODYS_JOURNAL_BYTES: usize = 1 << 20;
/// Deliveries, sent rows, sessions and keys of messages kept for each app, of each sort.
pub(crate) const ROWS_PER_APP: usize = 10_000;
/// A `downloadCode`, from the message it came with. Not documented; this is our choice.
pub(crate) const DOWNLOAD_CODE: Duration = Duration::from_hours(24);
/// The address that a `downloadCode` is exchanged for. Not documented; this is our choice.
pub(crate) const DOWNLOAD_URL_SECONDS: i64 = 3_600;
/// Files kept for each app.
pub(crate) const MEDIA_PER_APP: usize = 10_000;
/// Bytes that those files may have together.
pub(crate) const MEDIA_BYTES_PER_APP: usize = 256 << 20;
/// Custom robots of one app.
pub(crate) const CUSTOM_ROBOTS_PER_APP: usize = 1_000;
/// Cards kept for each app.
pub(crate) const CARDS_PER_APP: usize = 10_000;
/// Bytes of memory that one card may take.
pub(crate) const CARD_BYTES: usize = 1 << 20;
/// Places that one card is shown at; of more, the oldest keep what they showed.
pub(crate) const PLACES_PER_CARD: usize = 100;
/// Journal entries kept for each app.
pub(crate) const JOURNAL_ENTRIES: usize = 10_000;
/// A longer body is cut in the journal, with a mark.
pub(crate) const JOURNAL_BODY: usize = 64 << 10;
/// The same for a line and a diagnosis in it, which quote what bots write.
pub(crate) const JOURNAL_TEXT: usize = 2 << 10;
/// Ended connections that `connections` still shows, for each app.
pub(crate) const ENDED_CONNECTIONS: usize = 1_000;
/// Live connections and unused tickets of one app. DingTalk's own limit is not documented.
pub(crate) const CONNECTIONS_PER_APP: usize = 10_000;
/// People and conversations of one app.
pub(crate) const PEOPLE_PER_APP: usize = 100_000;
/// Fault rules of one app.
pub(crate) const FAULTS_PER_APP: usize = 1_000;
/// Apps of one mock.
pub(crate) const APPS: usize = 100_000;
/// Bytes of one file that a person sends.
pub(crate) const MEDIA_BYTES: usize = 20 << 20;
