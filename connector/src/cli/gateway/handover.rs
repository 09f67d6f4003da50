//! `gateway restart`: another process takes the place of this one, and messages arrive all the time.
//!
//! ```text
//! P, at work                                   C, started by P, or by whoever keeps P
//! Begin: these robots are connected ---------> reads the settings, asks for tickets
//! holds its turns: what comes is kept <------- Prepared
//! Connect -----------------------------------> connects; frames wait there, un-acked
//! ends its connections and sends <------------ Connected
//! Listen ------------------------------------> takes the agents' address
//! closes its addresses and its store <-------- Listens
//! Take --------------------------------------> takes directory and store; what waits is kept, acked, answered
//! is C's thin parent, or ends <--------------- Took
//! ```
//!
//! Until `Connected` P can go on as if nothing had been asked. After it P begins again where C fails, with its
//! own settings. No turn begins on either side while both have connections, so that C can put what both have got
//! in order.

mod keeper;
mod predecessor;
mod successor;
mod wire;
mod words;

use self::keeper::Keeper;
use self::words::{Event, Order, Request, Up};
use crate::cli::exit_code::{ExitCode, Failure};
use crate::cli::signals::Signals;
use crate::config::Environment;

pub(super) use self::predecessor::Times;
pub(super) use self::successor::{Coming, Upward};
pub(super) use self::words::Report;

/// Set for a process that is to take another's place; its standard input is a socket to whoever started it.
const VARIABLE: &str = "DINGTALK_HANDOVER";

/// Who starts processes for this one, and hears of their end.
pub(super) enum Nursery {
    /// It does so itself.
    Own(Box<Keeper>),
    /// The process that started it.
    Keeper(Box<Upward>),
}

impl Nursery {
    /// By how this process was started; the signals of one that keeps it are heard from now on, too.
    pub(super) fn of_process(
        env: &dyn Environment,
        signals: &mut Signals,
    ) -> Result<Self, Failure> {
        if env.var(VARIABLE).is_none() {
            return Ok(Self::Own(Box::default()));
        }
        let (upward, relayed) = Upward::of_stdin().map_err(|e| {
            let message = format!(
                "{VARIABLE} is set, and the standard input is no socket ({e}): it is for processes that \
                 `gateway restart` starts; unset it"
            );
            Failure::new(ExitCode::Configuration, message)
        })?;
        signals.also_from(relayed);
        Ok(Self::Keeper(Box::new(upward)))
    }

    /// Whether this process starts its successor itself.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// The process before this one, if it is to take a place.
    pub(super) fn predecessor(&mut self) -> Option<&mut Upward> {
        match self {
            Self::Own(_) => None,
            Self::Keeper(upward) => Some(upward),
        }
    }

    /// Waits until the process that started this one says that it goes; from then on this one keeps itself.
    ///
    /// Can be dropped at any time.
    pub(super) async fn left_alone(&mut self) {
        if let Self::Keeper(upward) = self {
            while let Some(order) = upward.order().await {
                if order == Order::Alone {
                    *self = Self::Own(Box::default());
                    return;
                }
            }
        }
        std::future::pending::<()>().await;
    }

    /// Tells why this process ends, if anybody waits for it to take over.
    pub(super) async fn failed(&mut self, failure: &Failure) {
        if let Self::Keeper(upward) = self {
            let exit_code = u8::from(failure.exit_code());
            upward.report(Report::Failed { problem: failure.to_string(), exit_code }).await;
        }
    }

    /// After another process has taken this one's place: stays as its parent, if it is that. Returns what to exit
    /// with.
    pub(super) async fn keep(self, signals: Signals) -> i32 {
        match self {
            Self::Own(keeper) => keeper.keep(signals).await,
            Self::Keeper(_) => 0,
        }
    }

    async fn ask(&mut self, request: Request) {
        match self {
            Self::Own(keeper) => keeper.obey(request).await,
            Self::Keeper(upward) => upward.say(Up::Request(request)).await,
        }
    }

    async fn event(&mut self) -> Event {
        match self {
            Self::Own(keeper) => keeper.event().await,
            Self::Keeper(upward) => upward.event().await,
        }
    }
}
