//! A hash that stays the same in every process and release.

/// FNV-1a, 64 bits. Whoever wants two texts that are alike to it can make them.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the table of its authors (draft-eastlake-fnv, appendix C).
    #[test]
    fn it_is_the_published_one() {
        for (text, hash_of_it) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(hash(text.as_bytes()), hash_of_it, "{text}");
        }
    }
}
