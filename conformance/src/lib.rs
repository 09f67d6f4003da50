//! Judges `DingTalk` connectors, SDKs and bots, and keeps the fixtures honest.
//!
//! * [`fixtures`] finds and reads the files that describe every wire shape.
//! * [`provenance`] knows where each of them comes from, and checks that folder and record agree.

pub mod fixtures;
pub mod provenance;
