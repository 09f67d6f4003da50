//! What was there before a scenario began, and does not count in it.

use std::collections::BTreeSet;

use super::{cards::updates, rows::Seen, stage::Stage};
use crate::{
    core::{ConnectionRow, ConnectionState, DeliveryRow, Finding, SentRow},
    error::MockError,
};

/// How far an app's rows went when a scenario began. Of an app that was just minted it is nothing.
#[derive(Debug, Default)]
pub(super) struct Base {
    sent: u64,
    findings: u64,
    /// Connections that had ended. One that was open is the bot's.
    ended: BTreeSet<String>,
    /// Calls that streamed words to cards.
    updates: usize,
}

impl Base {
    /// Of a stage; the calls that stream words are counted where `counts_updates`.
    pub(super) async fn of(stage: &Stage, counts_updates: bool) -> Result<Self, MockError> {
        let (sent, connections) = stage.sent_and_connections().await?;
        let has_ended = |row: &&ConnectionRow| row.state == ConnectionState::Closed;
        let ended = connections.iter().filter(has_ended).map(|row| row.connection_id.clone());
        let findings = stage.findings().await?;
        Ok(Self {
            sent: sent.iter().map(|row| row.seq).max().unwrap_or_default(),
            findings: findings.iter().map(|finding| finding.seq).max().unwrap_or_default(),
            ended: ended.collect(),
            updates: if counts_updates { updates(&stage.journal().await?) } else { 0 },
        })
    }

    /// Those that were found since.
    pub(super) fn findings(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        findings.retain(|finding| finding.seq > self.findings);
        findings
    }

    /// How many of so many calls that streamed words came since.
    pub(super) fn updates(&self, all: usize) -> usize {
        all.saturating_sub(self.updates)
    }
}

/// Rows without what was there before.
pub(super) struct Since<'a> {
    pub(super) seen: &'a dyn Seen,
    pub(super) base: &'a Base,
}

impl Seen for Since<'_> {
    fn delivery_rows(&self) -> Vec<DeliveryRow> {
        self.seen.delivery_rows()
    }

    fn sent_rows(&self) -> Vec<SentRow> {
        let mut rows = self.seen.sent_rows();
        rows.retain(|row| row.seq > self.base.sent);
        rows
    }

    fn connection_rows(&self) -> Vec<ConnectionRow> {
        let mut rows = self.seen.connection_rows();
        rows.retain(|row| !self.base.ended.contains(&row.connection_id));
        rows
    }

    fn hits(&self, fault: u64) -> Option<u64> {
        self.seen.hits(fault)
    }
}
