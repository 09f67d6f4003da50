//! Markdown on its way into messages: as DingTalk's clients show it, and in parts that its APIs take.
//!
//! Pure: text in, text out. What counts as a fence or a table is decided once, in `lines`.

mod cut;
mod graphemes;
mod lines;
#[cfg(test)]
mod properties;
mod render;
mod split;
mod title;

pub(crate) use graphemes::is_mark;
pub use render::render;
pub use split::{MIN_BUDGET, Part, Syntax, split, weight};
pub use title::{numbered, of_text as title_of, tidy as tidy_title};
