use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

const OPENCLAW: &str =
    "0::/user.slice/user-7.slice/user@7.service/app.slice/openclaw-gateway.service";
const SYSTEM: &str = "0::/system.slice/openclaw-gateway.service";

struct Env(HashMap<&'static str, String>);

impl Environment for Env {
    fn var(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// A process 42, child of process 41, in a directory in place of `/proc`; and a `busctl` there.
struct Scene {
    dir: TempDir,
    process: Process,
}

impl Scene {
    fn new(own: &str, parents: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (pid, cgroups) in [("42", own), ("41", parents)] {
            std::fs::create_dir(dir.path().join(pid)).unwrap();
            std::fs::write(dir.path().join(pid).join("cgroup"), cgroups).unwrap();
        }
        let (pid, parent) = (Pid::from_raw(42).unwrap(), Pid::from_raw(41));
        Self { process: Process { proc: dir.path().into(), pid, parent, leads: true }, dir }
    }

    /// What comes of it where `busctl` notes its arguments and does `work` in the directory.
    async fn left(&self, work: &str) -> Result<String, String> {
        let busctl = self.dir.path().join("busctl");
        let dir = self.dir.path().display();
        let script = format!(
            "#!/bin/sh\ncd '{dir}'\nprintf '%s\\n' \"${{XDG_RUNTIME_DIR-}}\" \"$@\" >args\n{work}\n"
        );
        // Another thread that forks meanwhile could hold the file open for writing: the copy is sh's own.
        std::fs::write(self.dir.path().join("text"), script).unwrap();
        std::fs::set_permissions(self.dir.path().join("text"), PermissionsExt::from_mode(0o700))
            .unwrap();
        let copied = std::process::Command::new("cp")
            .arg(self.dir.path().join("text"))
            .arg(&busctl)
            .status();
        assert!(copied.unwrap().success());
        let env = Env([("XDG_RUNTIME_DIR", "/x".to_owned())].into());
        let service = self.process.to_leave(&env).unwrap();
        self.process.leave(&service, &busctl, &env).await
    }

    fn args(&self) -> Vec<String> {
        let args = std::fs::read_to_string(self.dir.path().join("args")).unwrap();
        args.lines().skip(1).map(str::to_owned).collect()
    }
}

#[test]
fn only_what_was_detached_from_a_service_leaves_it() {
    let leaves = |own: &str, parents: &str, leads: bool, main: Option<&str>| {
        let mut scene = Scene::new(own, parents);
        scene.process.leads = leads;
        let env = main.map(|main| ("SYSTEMD_EXEC_PID", main.to_owned()));
        scene.process.to_leave(&Env(env.into_iter().collect())).is_some()
    };
    let manager = "0::/user.slice/user-7.slice/user@7.service/init.scope";
    for own in [OPENCLAW, SYSTEM] {
        assert!(leaves(own, own, true, Some("40")), "detached, and its parent lives");
        assert!(leaves(own, manager, true, Some("40")), "detached, and its parent is gone");
        assert!(leaves(own, own, true, None), "the same under an older systemd");
        assert!(!leaves(own, own, false, Some("40")), "not detached");
        assert!(!leaves(own, manager, true, Some("42")), "the main process");
        assert!(!leaves(own, manager, true, None), "the same under an older systemd");
    }
    assert!(!leaves(manager, manager, true, None), "in no service");
}

#[tokio::test]
async fn the_manager_of_the_service_is_asked_for_a_scope() {
    for (own, bus) in [(OPENCLAW, "--user"), (SYSTEM, "--system")] {
        let scene = Scene::new(own, own);
        // As the real one: it answers first.
        let moves = "(sleep 0.1; echo 0::/app.slice/ddingtalk-42.scope >42/new; mv 42/new 42/cgroup) >&- 2>&- &";
        assert_eq!(scene.left(moves).await, Ok("ddingtalk-42.scope".to_owned()));
        let args = scene.args();
        assert_eq!(args[0], bus);
        let rest = "--allow-interactive-authorization=no call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
                    org.freedesktop.systemd1.Manager StartTransientUnit ssa(sv)a(sa(sv)) ddingtalk-42.scope fail \
                    3 PIDs au 1 42 Description s";
        assert_eq!(args[1..17].join(" "), rest);
        assert_eq!(args[18..].join(" "), "CollectMode s inactive-or-failed 0");
    }
}

#[test]
fn the_bus_of_the_user_is_found_without_a_session() {
    let scene = Scene::new(OPENCLAW, OPENCLAW);
    let set = |manager, vars: &[(&'static str, &str)]| {
        let env = Env(vars.iter().map(|(name, value)| (*name, (*value).to_owned())).collect());
        let call = scene.process.call(manager, "a.scope", Path::new("busctl"), &env);
        let set = call.as_std().get_envs().next();
        set.map(|(name, value)| (name.to_owned(), value.unwrap().to_owned()))
    };
    let expected = Some(("XDG_RUNTIME_DIR".into(), "/run/user/7".into()));
    assert_eq!(set(Manager::User(7), &[]), expected);
    assert_eq!(set(Manager::User(7), &[("XDG_RUNTIME_DIR", "/x")]), None);
    assert_eq!(set(Manager::User(7), &[("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x")]), None);
    assert_eq!(set(Manager::System, &[]), None);
}

#[tokio::test]
async fn what_cannot_be_had_is_told_in_the_words_of_whoever_refused() {
    let scene = Scene::new(SYSTEM, SYSTEM);
    let refused = scene.left("echo 'Call failed: Access denied' >&2; exit 1").await;
    let expected = "busctl ends with exit status: 1: Call failed: Access denied";
    assert_eq!(refused, Err(expected.to_owned()));
    let env = Env(HashMap::new());
    let service = scene.process.to_leave(&env).unwrap();
    let missing = scene.process.leave(&service, Path::new("/nowhere/busctl"), &env).await;
    assert_eq!(
        missing,
        Err("busctl cannot be run: No such file or directory (os error 2)".to_owned())
    );
    // It says yes, and does nothing.
    let idle = timeout(Duration::from_millis(500), scene.left("")).await;
    assert!(idle.is_err(), "the process is where it was: {idle:?}");
}
