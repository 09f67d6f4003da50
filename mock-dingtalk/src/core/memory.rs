//! What things take in memory, as an allocator hands it out.

use serde_json::{Map, Value};

/// What the block takes that holds so many bytes: its own header, and what rounding adds.
pub(crate) fn block(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + HEADER).next_multiple_of(16).max(32) }
}

/// The same for texts, each in a block of its own.
pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> usize {
    texts.into_iter().map(|text| block(text.len())).sum()
}

/// What the members of a map take beside the map itself.
pub(crate) fn map_bytes(map: &Map<String, Value>) -> usize {
    let members: usize = map.iter().map(|(name, value)| block(name.len()) + beside(value)).sum();
    map.len().div_ceil(IN_A_NODE) * block(NODE) + members
}

/// What a value takes beside the value itself.
pub(crate) fn beside(value: &Value) -> usize {
    match value {
        Value::String(text) => block(text.len()),
        Value::Array(list) => {
            block(size_of_val(list.as_slice())) + list.iter().map(beside).sum::<usize>()
        }
        Value::Object(map) => map_bytes(map),
        _ => 0,
    }
}

/// What an entry of a hash table takes beside what is in it: tables are half empty after they grew.
pub(crate) const fn hashed<T>() -> usize {
    2 * (size_of::<T>() + 1)
}

/// Before each block.
const HEADER: usize = 8;
/// A node of a map has places for eleven members, whatever there are.
const NODE: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 16;
/// Nodes are about half full.
const IN_A_NODE: usize = 6;
