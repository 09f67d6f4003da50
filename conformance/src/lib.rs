//! Judges `DingTalk` connectors, SDKs and bots, and keeps the fixtures honest.
//!
//! * [`fixtures`] finds and reads the files that describe every wire shape.
//! * [`provenance`] knows where each of them comes from, and checks that folder and record agree.
//! * [`suite`] reads what is required of a bot, and the cases that show it.
//! * [`run`] plays cases against a bot in a process of its own, and judges it.

pub mod fixtures;
pub mod provenance;
pub mod run;
pub mod suite;
