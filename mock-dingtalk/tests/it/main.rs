//! The mock over real sockets, seen from outside: by HTTP, by WebSocket, and as a process.

#![expect(clippy::unwrap_used, reason = "in a test, what must be there is unwrapped")]

mod answers;
mod bounds;
mod caller;
mod card_api;
mod card_press;
mod catalogue;
mod cli;
mod cli_settings;
mod cli_verbs;
mod clock;
mod codes;
mod connections;
mod control;
mod custom_robot;
mod faults;
mod findings;
mod fixtures;
mod group_files;
mod hosts;
mod inbound;
mod innocence;
mod isolation;
mod journal;
mod kept_back;
mod limits;
mod media_api;
mod messages;
mod openapi;
mod permissions;
mod plug;
mod plug_env;
mod presets;
mod process;
mod replay;
mod response_fixtures;
mod robot_api;
mod schema;
mod shell;
mod snapshots;
mod sound;
mod strictness;
mod support;
mod user_api;
mod wire_faults;
