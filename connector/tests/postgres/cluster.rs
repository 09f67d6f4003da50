//! A PostgreSQL server for tests, of this machine's programs: in a directory of its own, on a free port of loopback,
//! as another user where the tests run as root. It ends with whoever holds it, however that ends.
//!
//! Include it by path. Without PostgreSQL a test is skipped and says so, or fails with `REQUIRE_EXTERNAL=1`.

use std::io::Write as _;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server. Dropped, it is gone at once.
pub(crate) struct Cluster {
    pub(super) dir: PathBuf,
    pub(super) programs: PathBuf,
    pub(super) port: u16,
    /// Whom it runs as, if not as the tests do.
    pub(super) user: Option<(u32, u32)>,
    /// It waits for the end of its input, and then ends the server.
    keeper: Option<Child>,
    databases: AtomicUsize,
}

/// `$1` are the programs, `$2` is the directory, `$3` the port, `$4` says that the directory goes with the server.
const KEEPER: &str = r#"
set -e
if [ ! -d "$2/data" ]; then
    "$1/initdb" -D "$2/data" -U tester -A trust -E UTF8 --locale=C -N >"$2/initdb.log" 2>&1 ||
        { cat "$2/initdb.log" >&2; exit 1; }
    printf '%s\n' 'host all guarded all scram-sha-256' 'local all all trust' 'host all all all trust' \
        'host replication all all trust' >"$2/data/pg_hba.conf"
    echo 'fsync = off' >>"$2/data/postgresql.conf"
fi
"$1/pg_ctl" -D "$2/data" -l "$2/server.log" -w -t 120 -o "-p $3 -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories='$2' -c max_connections=80" \
    start >/dev/null || { cat "$2/server.log" >&2; exit 1; }
echo ready
cat >/dev/null
"$1/pg_ctl" -D "$2/data" -m immediate -w stop >/dev/null
if [ "$4" = yes ]; then rm -rf "$2"; fi
"#;

impl Cluster {
    /// One that all tests of a process share; each makes a [database](Cluster::database) of its own in it.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        // Nothing drops what is static: the directory goes with the server.
        SHARED.get_or_init(|| Self::begin(true)).as_ref()
    }

    /// One for a test that ends it, or starts it again.
    pub(crate) fn start() -> Option<Self> {
        Self::begin(false)
    }

    fn begin(removes: bool) -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                !std::env::var("REQUIRE_EXTERNAL").is_ok_and(|value| value == "1"),
                "there is no PostgreSQL: initdb and pg_ctl are neither on PATH nor in /usr/lib/postgresql"
            );
            skipped();
            return None;
        };
        let mut cluster = Self::place(programs);
        cluster.run(removes);
        Some(cluster)
    }

    /// A directory and a port for one.
    pub(super) fn place(programs: PathBuf) -> Self {
        let dir = tempfile::Builder::new().prefix("pg").tempdir().expect("a directory").keep();
        let user = other_user();
        if let Some((uid, gid)) = user {
            chown(&dir, Some(uid), Some(gid)).expect("the directory is given away");
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it has an address").port();
        Self { dir, programs, port, user, keeper: None, databases: AtomicUsize::new(0) }
    }

    pub(super) fn run(&mut self, removes: bool) {
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "keeper"]).arg(&self.programs).arg(&self.dir);
        command.arg(self.port.to_string()).arg(if removes { "yes" } else { "no" });
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // What ends the tests does not end it in the midst of its work.
        command.process_group(0);
        self.as_user(&mut command);
        let mut keeper = command.spawn().expect("sh runs");
        let mut line = String::new();
        let output = keeper.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it says that it is ready");
        assert_eq!(line.trim(), "ready", "the server does not start");
        self.keeper = Some(keeper);
    }

    /// Has a command be run as the server's user.
    pub(super) fn as_user(&self, command: &mut Command) {
        command.current_dir("/");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
    }

    /// Ends the server as a crash does.
    pub(crate) fn stop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().expect("it ends");
        }
    }

    /// Starts it again, with what was in it, on the same port.
    pub(crate) fn start_again(&mut self) {
        self.stop();
        self.run(false);
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database, for user `tester`, who may do everything and needs no password.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://tester@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Makes an empty database; its address.
    pub(crate) fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Does statements in a database; the first column of the rows they gave.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> Vec<String> {
        let url = self.url(database);
        let done = async {
            let config: tokio_postgres::Config = url.parse().expect("an address");
            let (client, connection) =
                config.connect(tokio_postgres::NoTls).await.expect("it can be connected to");
            tokio::spawn(connection);
            let messages = client.simple_query(statements).await.expect("they can be done");
            let first = |message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            };
            messages.into_iter().filter_map(first).collect()
        };
        // A runtime lets none of its own threads block.
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(done)
            });
            thread.join().expect("they were done")
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        // What is left there is only in the way.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The name of the database that an address names.
pub(crate) fn database_of(url: &str) -> &str {
    let name = url.rsplit('/').next().expect("it has a path");
    name.split('?').next().expect("it has a name")
}

/// Says that one more test was skipped.
fn skipped() {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    // Nobody may read it.
    let _ = writeln!(std::io::stderr(), "skipped ({count} so far): there is no PostgreSQL here");
}

/// Where the server's programs are.
pub(crate) fn programs() -> Option<PathBuf> {
    let has_both = |dir: &Path| ["initdb", "pg_ctl"].iter().all(|name| dir.join(name).exists());
    let mut installed: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    installed.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = std::env::split_paths(&path).collect();
    installed.into_iter().rev().chain(on_path).find(|dir| has_both(dir))
}

/// The server does not run as root: as `postgres` then, else as `nobody`.
fn other_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("there are users");
    let of = |name: &str| {
        let fields: Vec<_> =
            users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    Some(of("postgres").or_else(|| of("nobody")).expect("there is somebody else"))
}
