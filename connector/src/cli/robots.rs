//! The robots of one process: each has its own gateway, and none ends with another.

use std::pin::Pin;

use futures_util::future::{join_all, select_all};
use tracing::{Instrument, Span, error, error_span};

use super::exit_code::{ExitCode, Failure};
use crate::gateway::Gateway;
use crate::link;

/// Robots at work.
pub(super) struct Robots(Vec<Robot>);

struct Robot {
    gateway: Gateway,
    span: Span,
}

impl Robots {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// The span of an account's log lines; a robot that is alone needs none.
    pub(super) fn span(account: &str, alone: bool) -> Span {
        if alone { Span::none() } else { error_span!("account", name = account) }
    }

    /// Starts one more; returns what the agent link needs of it.
    pub(super) async fn add(
        &mut self,
        span: Span,
        starting: impl Future<Output = Result<(Gateway, link::Robot), Failure>>,
    ) -> Result<link::Robot, Failure> {
        let (gateway, linked) = starting.instrument(span.clone()).await?;
        self.0.push(Robot { gateway, span });
        Ok(linked)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until none is left, and says how the last one failed. A process that lives on without any
    /// would look well to everybody.
    pub(super) async fn failed(&mut self) -> Failure {
        loop {
            let ends = self.0.iter_mut().map(|robot| {
                Box::pin(robot.gateway.failed())
                    as Pin<Box<dyn Future<Output = String> + Send + '_>>
            });
            let (failure, index, _) = select_all(ends).await;
            let Robot { gateway, span } = self.0.swap_remove(index);
            gateway.abort();
            if self.0.is_empty() {
                return Failure::new(ExitCode::Failed, failure);
            }
            span.in_scope(|| error!("{failure}; the other accounts go on"));
        }
    }

    /// Stops all at the same time; returns how many answers are unfinished.
    pub(super) async fn stop(self) -> usize {
        let stops = self.0.into_iter().map(|robot| robot.gateway.stop().instrument(robot.span));
        join_all(stops).await.into_iter().sum()
    }
}
