//! Facts of the build for `ddingtalk --version`: of the compiler and of what the packager says, never of the
//! machine, so that the same source gives the same program.

use std::env::var;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DDINGTALK_COMMIT");
    let rustc =
        Command::new(var("RUSTC").unwrap_or_else(|_| "rustc".to_owned())).arg("-V").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let rustc = rustc.unwrap_or_default();
    let features: Vec<_> = ["dev"]
        .into_iter()
        .filter(|name| var(format!("CARGO_FEATURE_{}", name.to_uppercase())).is_ok())
        .collect();
    let unknown = || "unknown".to_owned();
    let facts = [
        (
            "COMMIT",
            var("DDINGTALK_COMMIT").ok().filter(|it| !it.is_empty()).unwrap_or_else(unknown),
        ),
        ("RUSTC", rustc.strip_prefix("rustc ").map_or_else(unknown, str::to_owned)),
        ("TARGET", var("TARGET").unwrap_or_else(|_| unknown())),
        ("FEATURES", if features.is_empty() { "none".to_owned() } else { features.join(", ") }),
    ];
    for (name, value) in facts {
        println!("cargo:rustc-env=DDINGTALK_{name}={value}");
    }
}
