//! What `docs/ci` tells users to write and to type, written and typed.
//!
//! Files and commands are taken from the pages. They need foreign programs; without them a test is
//! skipped, counted and named with the reason; with `REQUIRE_EXTERNAL=1` it fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let required = std::env::var("REQUIRE_EXTERNAL").is_ok_and(|v| v == "1");
    let trials = PAGES.map(|page| page.trial(required)).into();
    libtest_mimic::run(&arguments, trials).exit();
}

/// A page whose files are run.
#[derive(Clone, Copy)]
struct Page {
    /// Its name, and that of the folder of `conformance/subjects` which has the SDK.
    language: &'static str,
    /// What the language's test runner says when all three tests of the page passed.
    passed: &'static str,
}

const PAGES: [Page; 2] = [
    Page { language: "python", passed: "Ran 3 tests in " },
    Page { language: "node", passed: "# pass 3\n" },
];

impl Page {
    fn trial(self, required: bool) -> Trial {
        let name = format!("the_page_for_{}_runs", self.language);
        match self.packages() {
            Ok(packages) => Trial::test(name, move || self.play(&packages).map_err(Failed::from)),
            Err(reason) if required => Trial::test(name, move || {
                Err(Failed::from(format!("REQUIRE_EXTERNAL=1, but {reason}")))
            }),
            Err(reason) => Trial::test(format!("{name} (skipped: {reason})"), || Ok(()))
                .with_ignored_flag(true),
        }
    }

    /// The folder in which the SDK is installed.
    fn packages(self) -> Result<PathBuf, String> {
        let subjects = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/subjects");
        let script = subjects.join(self.language).join("run");
        let output = Command::new(script).arg("--where").stdin(Stdio::null()).output();
        let output = output.map_err(|e| format!("the start script cannot be run: {e}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            return Ok(text(&output.stdout).into());
        }
        let stderr = text(&output.stderr);
        let error = stderr.lines().find_map(|line| line.strip_prefix("error: "));
        Err(error.unwrap_or("the SDK cannot be installed").to_owned())
    }

    /// Writes the page's files into a folder, and types its first command there.
    fn play(self, packages: &Path) -> Result<(), String> {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci");
        let page = std::fs::read_to_string(page.join(self.language).with_extension("md")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files(&page) {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        // Where each interpreter looks for packages: a virtual environment, a folder beside.
        std::os::unix::fs::symlink(
            packages.join("node_modules"),
            folder.path().join("node_modules"),
        )
        .unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_mock-dingtalk")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = [program.to_owned(), packages.join("bin")]
            .into_iter()
            .chain(std::env::split_paths(&path));
        let command = fence(&page, "sh").ok_or("the page has no command")?;
        let output = Command::new("sh")
            .args(["-euc", command])
            .current_dir(folder.path())
            .env("PATH", std::env::join_paths(path).unwrap())
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("no shell: {e}"))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if output.status.success() && said.contains(self.passed) {
            return Ok(());
        }
        Err(format!("{command}ends with {}, and says\n{said}", output.status))
    }
}

/// The files of a page: a line with the name in backticks and a colon, then the text in a fence.
fn files(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split("`:\n\n```");
    let names = parts.clone().filter_map(|part| part.rsplit_once('`').map(|(_, name)| name));
    names.zip(parts.skip(1).map(body)).collect()
}

/// The text of the page's first fence of this language.
fn fence<'a>(page: &'a str, language: &str) -> Option<&'a str> {
    page.split_once(format!("\n```{language}").as_str()).map(|(_, rest)| body(rest))
}

/// What stands between the language of a fence and its end.
fn body(rest: &str) -> &str {
    let (_, text) = rest.split_once('\n').unwrap_or_default();
    text.split("```\n").next().unwrap_or(text)
}
