//! Which systemd service a process is in, read from the text of `/proc/PID/cgroup`.

/// A service unit, and who manages it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    /// Such as `openclaw-gateway.service`.
    pub(super) unit: String,
    pub(super) manager: Manager,
}

/// A systemd that has units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    System,
    /// That of the user with this id.
    User(u32),
}

impl Service {
    /// Reads the lines that systemd keeps: `0::PATH`, and `N:name=systemd:PATH` where it uses cgroup v1 or both.
    /// Without one, or in a unit of another type (a session, a scope, a container), it is none.
    pub(super) fn of(cgroups: &str) -> Option<Self> {
        cgroups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            matches!(controllers, "" | "name=systemd").then(|| Self::at(path)).flatten()
        })
    }

    /// As systemd reads its own paths (`cg_path_get_unit`, `cg_path_get_user_unit`): the first that is no slice is
    /// the unit, whatever that has below itself; below `user@UID.service` begin those of that user's manager.
    fn at(path: &str) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty() && !is(part, ".slice"));
        let unit = parts.next()?;
        let user = unit.strip_prefix("user@").and_then(|rest| rest.strip_suffix(".service"));
        let (unit, manager) = match user.and_then(|uid| uid.parse().ok()) {
            Some(uid) => (parts.next()?, Manager::User(uid)),
            None => (unit, Manager::System),
        };
        // A name that the kernel could take for one of its own files has this before it.
        let unit = unit.strip_prefix('_').unwrap_or(unit);
        is(unit, ".service").then(|| Self { unit: unit.to_owned(), manager })
    }
}

/// Whether it is the name of a unit of this type.
fn is(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_service_is_found_in_each_hierarchy_and_nothing_else_is_one() {
        let user = "/user.slice/user-1000.slice/user@1000.service";
        let v1 =
            "12:pids:/user.slice/user-1000.slice/user@1000.service\n3:cpu,cpuacct:/user.slice\n";
        let claw = Some(("openclaw-gateway.service", Manager::User(1000)));
        for (cgroups, expected) in [
            // Version 2.
            (format!("0::{user}/app.slice/openclaw-gateway.service\n"), claw),
            (format!("0::{user}/openclaw-gateway.service"), claw),
            (
                format!("0::{user}/app.slice/app-x.slice/openclaw-gateway.service/inner/a.scope"),
                claw,
            ),
            (
                "0::/system.slice/openclaw.service".into(),
                Some(("openclaw.service", Manager::System)),
            ),
            (
                "0::/system.slice/system-claw.slice/claw@a.service/payload".into(),
                Some(("claw@a.service", Manager::System)),
            ),
            ("0::/system.slice/_cpu.service".into(), Some(("cpu.service", Manager::System))),
            // A manager that is not below its slice, as in a test.
            (
                "0::/user@0.service/app.slice/a.service".into(),
                Some(("a.service", Manager::User(0))),
            ),
            ("0::/user@nobody.service".into(), Some(("user@nobody.service", Manager::System))),
            // Version 1, and both.
            (format!("{v1}1:name=systemd:{user}/app.slice/openclaw-gateway.service\n"), claw),
            (
                format!(
                    "{v1}1:name=systemd:{user}/openclaw-gateway.service\n0::{user}/openclaw-gateway.service\n"
                ),
                claw,
            ),
            (format!("1:name=systemd:/\n0::{user}/openclaw-gateway.service\n"), claw),
            (format!("1:name=systemd:{user}/openclaw-gateway.service\n0::/\n"), claw),
            // None.
            (v1.into(), None),
            (format!("0::{user}/app.slice/ddingtalk-7.scope"), None),
            (format!("0::{user}/init.scope"), None),
            (format!("0::{user}"), None),
            ("0::/user.slice/user-1000.slice/session-3.scope".into(), None),
            ("0::/system.slice/docker-0a1b.scope/app.service".into(), None),
            ("0::/docker/0a1b".into(), None),
            ("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope".into(), None),
            ("0::/../../system.service.d".into(), None),
            ("0::/.service".into(), None),
            ("0::/_.service".into(), None),
            ("0::/\n".into(), None),
            ("0:".into(), None),
            (String::new(), None),
        ] {
            let found = Service::of(&cgroups);
            let found = found.as_ref().map(|service| (service.unit.as_str(), service.manager));
            assert_eq!(found, expected, "{cgroups}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read(cgroups in "([0-9:]{0,3}(name=systemd)?[:/]{0,2}[a-z@0-9._/:-]{0,30}\n?){0,4}") {
            if let Some(service) = Service::of(&cgroups) {
                prop_assert!(is(&service.unit, ".service") && cgroups.contains(&service.unit));
            }
        }
    }
}
