//! The program cannot be made wrong on purpose.

/// Nothing of the table of mutations is in it; their page has the same sentences.
#[cfg(not(feature = "mutations"))]
#[test]
fn the_program_knows_no_mutation() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_mock-dingtalk")).unwrap();
    let program = String::from_utf8_lossy(&program);
    let page = include_str!("../../docs/mutations.md");
    let rows: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").nth(1))
        .filter(|sentence| sentence.len() > 30)
        .collect();
    assert!(rows.len() >= 20, "{rows:?}");
    for sentence in [rows[0], rows[rows.len() / 2], rows[rows.len() - 1]] {
        assert!(!program.contains(sentence), "{sentence}");
    }
    // What is in it is found this way.
    assert!(program.contains("A ticket comes a second time."));
}
