//! Being wrong on purpose. A mock is only worth its verdicts if a wrong one would be noticed, so
//! each [`Mutation`] is one way to be wrong, and `tests/mutations` shows which probe notices it.
//!
//! Only the feature `mutations` can make a mock wrong. Without it [`Mutations`] has no size,
//! [`Mutations::has`] is always false, and nothing of this is in the program.

use std::collections::HashMap;

#[cfg(feature = "mutations")]
use super::verb_error::{VerbError, quoted};
use super::{
    app::AppNumber,
    connection::ConnectionKey,
    effect::Effect,
    http::{HttpAnswer, HttpCall},
};

/// One way to be wrong; the table below says in words what each does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    TicketUsedTwice,
    TicketEndless,
    WrongSecret,
    TokenUnknown,
    TokenEndless,
    TokenRenewed,
    WebhookEndless,
    CallsUnlimited,
    OapiStatus,
    RequestIdMissing,
    CardAfterEnd,
    MediaAltered,
    FileWithType,
    FileAddressEndless,
    RecallEndless,
    AckElsewhere,
    PressLate,
    RedeliversAcked,
    RedeliversAnew,
    RoutesToDraining,
    GraceEndless,
    SubscriptionIgnored,
    EventOnce,
    LaterFinal,
    PushedTwice,
    PushedToOtherApp,
    PingMissing,
    KeepsLost,
    MessageIdRepeated,
    JumpMovesLifetimes,
    ClockShared,
}

/// How a mock is wrong, if it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mutations {
    #[cfg(feature = "mutations")]
    one: Option<Mutation>,
}

impl Mutations {
    /// Whether to be wrong in this way.
    #[cfg(feature = "mutations")]
    pub(crate) fn has(self, mutation: Mutation) -> bool {
        self.one == Some(mutation)
    }

    /// Whether to be wrong in this way: never.
    #[cfg(not(feature = "mutations"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(crate) const fn has(self, _: Mutation) -> bool {
        false
    }

    /// Spoils an answer in the ways that concern all answers.
    pub(crate) fn spoil(self, call: &HttpCall, answer: &mut HttpAnswer) {
        if self.has(Mutation::OapiStatus)
            && call.is_oapi()
            && answer.body.contains("\"errcode\":")
            && !answer.body.contains("\"errcode\":0")
        {
            answer.status = 400;
        }
        if self.has(Mutation::RequestIdMissing) {
            answer.body = answer.body.replace("\"requestid\"", "\"requestId\"").into();
        }
    }

    /// Sends a frame of one app to the connection of another.
    pub(crate) fn misdirect(
        self,
        effects: &mut [Effect],
        owners: &HashMap<ConnectionKey, AppNumber>,
    ) {
        if !self.has(Mutation::PushedToOtherApp) {
            return;
        }
        for effect in effects {
            let Effect::Send { connection, .. } = effect else { continue };
            let owner = owners.get(connection);
            let other = owners.iter().find(|(_, app)| Some(*app) != owner);
            if let Some((key, _)) = other {
                *connection = *key;
            }
        }
    }
}

#[cfg(feature = "mutations")]
impl Mutations {
    /// By its name.
    pub(crate) fn named(name: &str) -> Result<Self, VerbError> {
        let found = ROWS.iter().find(|(_, known, _)| *known == name);
        let found = found.ok_or_else(|| {
            let allowed = "a name that `MockDingtalk::mutations` lists";
            VerbError::invalid("mutation", quoted(name), allowed)
        })?;
        Ok(Self { one: Some(found.0) })
    }
}

/// Each with its name and what the mock does.
#[cfg(feature = "mutations")]
#[rustfmt::skip]
pub(crate) const ROWS: [(Mutation, &str, &str); 31] = [
    (Mutation::TicketUsedTwice, "ticket-used-twice", "A ticket opens a second connection."),
    (Mutation::TicketEndless, "ticket-endless", "A ticket is good after 90 s."),
    (Mutation::WrongSecret, "wrong-secret", "Any client secret is taken."),
    (Mutation::TokenUnknown, "token-unknown", "An access token is taken that was never handed out."),
    (Mutation::TokenEndless, "token-endless", "An access token is good after two hours."),
    (Mutation::TokenRenewed, "token-renewed", "Each fetch makes a new access token."),
    (Mutation::WebhookEndless, "webhook-endless", "A sessionWebhook is good after 90 minutes."),
    (Mutation::CallsUnlimited, "calls-unlimited", "The limit of calls in a second refuses nothing."),
    (Mutation::OapiStatus, "oapi-status", "The old host tells errors by the HTTP status."),
    (Mutation::RequestIdMissing, "request-id-missing", "An error of the new host has no requestid."),
    (Mutation::CardAfterEnd, "card-after-end", "A finished card takes more text."),
    (Mutation::MediaAltered, "media-altered", "A file comes back with other bytes."),
    (Mutation::FileWithType, "file-with-type", "The address of a person's file takes a Content-Type."),
    (Mutation::FileAddressEndless, "file-address-endless", "The address of a person's file is good after an hour."),
    (Mutation::RecallEndless, "recall-endless", "A message is recalled after 24 h."),
    (Mutation::AckElsewhere, "ack-elsewhere", "An ack on another connection counts as one on its own."),
    (Mutation::PressLate, "press-late", "An answer to a press counts after 2 s."),
    (Mutation::RedeliversAcked, "redelivers-acked", "What was acked comes again."),
    (Mutation::RedeliversAnew, "redelivers-anew", "What comes again has another msgId."),
    (Mutation::RoutesToDraining, "routes-to-draining", "Pushes go to a connection after its disconnect."),
    (Mutation::GraceEndless, "grace-endless", "TCP does not end 10 s after a disconnect."),
    (Mutation::SubscriptionIgnored, "subscription-ignored", "Pushes go to connections that did not subscribe."),
    (Mutation::EventOnce, "event-once", "An EVENT without an ack does not come again."),
    (Mutation::LaterFinal, "later-final", "An EVENT that is answered with LATER does not come again."),
    (Mutation::PushedTwice, "pushed-twice", "A push goes to two connections."),
    (Mutation::PushedToOtherApp, "pushed-to-other-app", "A push goes to the connection of another app."),
    (Mutation::PingMissing, "ping-missing", "No SYSTEM ping is sent."),
    (Mutation::KeepsLost, "keeps-lost", "A message that nobody took waits for the next connection."),
    (Mutation::MessageIdRepeated, "message-id-repeated", "All pushes have one messageId."),
    (Mutation::JumpMovesLifetimes, "jump-moves-lifetimes", "A jump of the wall clock ends lifetimes."),
    (Mutation::ClockShared, "clock-shared", "Turning the clock of one app turns those of all."),
];
