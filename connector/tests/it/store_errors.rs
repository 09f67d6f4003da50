//! A store that cannot be used: one sentence of cause and remedy, exit code 11, and the file stays as it is.

use std::path::PathBuf;

use dingtalk_connector::store::sqlite::FILE;
use rusqlite::Connection;

use crate::support::World;

/// The database of a world's state directory, in a folder that is there.
fn database(world: &World) -> PathBuf {
    let dir = world.dir.path().join("ddingtalk");
    std::fs::create_dir_all(&dir).unwrap();
    dir.join(FILE)
}

/// What the program says, with its folder taken out; it has to end by itself.
async fn refusal(world: &World) -> String {
    let mut command = world.command(&[]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty() && world.app.connections().unwrap().is_empty());
    let text = format!("exit code: {}\n{stderr}", output.status.code().unwrap());
    text.replace(&world.dir.path().display().to_string(), "DIR")
}

#[tokio::test]
async fn a_damaged_database_is_left_untouched() {
    let world = World::new().await;
    let file = database(&world);
    // Its head is right, and what follows is not.
    drop(dingtalk_connector::store::sqlite::SqliteStore::open(&file).unwrap());
    let mut bytes = std::fs::read(&file).unwrap();
    let length = bytes.len();
    bytes[100..length].fill(0xA5);
    for (bytes, head) in [(bytes, "SQLite format 3"), (b"no database. ".repeat(400), "no database")]
    {
        std::fs::write(&file, &bytes).unwrap();
        for side in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(file.with_file_name(format!("{FILE}{side}")));
        }
        let said = refusal(&world).await;
        assert!(
            said.starts_with("exit code: 11\nerror: cannot open the database DIR/ddingtalk/"),
            "{said}"
        );
        assert!(
            said.contains("it is left untouched: move it away to start empty, or restore a copy"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 2, "one sentence: {said}");
        assert!(std::fs::read(&file).unwrap() == bytes, "{head} was changed");
    }
}

#[tokio::test]
async fn a_database_of_a_newer_release_or_another_program_is_left_alone() {
    let world = World::new().await;
    let file = database(&world);
    let db = Connection::open(&file).unwrap();
    db.pragma_update(None, "application_id", 0x4444_544B).unwrap();
    db.pragma_update(None, "user_version", 999).unwrap();
    drop(db);
    let said = refusal(&world).await;
    assert!(said.contains("exit code: 11\nerror: the database DIR/ddingtalk/ddingtalk.sqlite3 has schema version 999, and this release knows "), "{said}");
    assert!(said.contains("use the newer release again"), "{said}");
    std::fs::remove_file(&file).unwrap();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE mine (a)").unwrap();
    let said = refusal(&world).await;
    assert!(
        said.contains("exit code: 11") && said.contains("it belongs to another program"),
        "{said}"
    );
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_not_waited_for_for_long() {
    let world = World::new().await;
    let file = database(&world);
    drop(dingtalk_connector::store::sqlite::SqliteStore::open(&file).unwrap());
    let db = Connection::open(&file).unwrap();
    db.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let said = refusal(&world).await;
    assert!(said.starts_with("exit code: 11\nerror: cannot open the database"), "{said}");
    assert!(said.contains("another process holds it: end that one"), "{said}");
}
