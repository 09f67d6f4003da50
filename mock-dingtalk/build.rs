//! Writes the table of fixtures that the program carries, so that it works away from the tree.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

/// The folders whose files can be pushed to a bot.
const FOLDERS: [&str; 2] = ["hostile", "stream"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let fixtures = root.parent().expect("the package is in a workspace").join("fixtures");
    let mut table = String::from("&[\n");
    for folder in FOLDERS {
        add_folder(&mut table, folder, &fixtures.join(folder))?;
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("fixtures.rs"), table)
}

fn add_folder(table: &mut String, folder: &str, path: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", path.display());
    let mut files = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    files.sort();
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_name().expect("a listed file has a name").to_string_lossy();
        let name = name.strip_suffix(".json").unwrap_or(&name);
        let path = file.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        let name = format!("{folder}/{name}");
        let _ = writeln!(table, "    ({name:?}, include_bytes!({path:?})),");
    }
    Ok(())
}
