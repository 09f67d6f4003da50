#![doc = include_str!("../README.md")]

pub mod agent;
pub mod backoff;
pub mod cli;
pub mod config;
pub mod credential;
pub mod doctor;
mod fnv;
pub mod gateway;
pub mod link;
pub mod markdown;
pub mod openapi;
pub mod protocol;
pub mod redact;
mod remedy;
pub mod schedule;
pub mod state_dir;
pub mod store;
pub mod stream;
pub mod telemetry;
pub mod tls;
pub mod traces;
mod unix_time;
