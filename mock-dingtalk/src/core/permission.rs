//! What an app may do with DingTalk's APIs: the permissions that its owner applies for.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

/// A permission that calls need, by the code that DingTalk's console shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Permission {
    /// `qyapi_robot_sendmsg`: the calls of robots (openapi.md 4).
    RobotSendMessage,
    /// `Card.Instance.Write`: cards, but for their streams (openapi.md 6).
    CardInstanceWrite,
    /// `Card.Streaming.Write`: streams of cards (openapi.md 6).
    CardStreamingWrite,
    /// `ConvFile.Space.Read`: the file spaces of groups (openapi.md 11).
    ConvFileSpaceRead,
    /// `Storage.File.Read`: what is in them (soimy/openclaw-channel-dingtalk).
    StorageFileRead,
    /// `Storage.DownloadInfo.Read`: the way to their bytes (openapi.md 11).
    StorageDownloadInfoRead,
    /// `qyapi_get_member`: people by id (reports of users).
    GetMember,
    /// `qyapi_get_member_by_mobile`: people by number (reports of users).
    GetMemberByMobile,
}

impl Permission {
    /// Each with its code.
    pub(crate) const NAMES: [(&str, Self); 8] = [
        ("qyapi_robot_sendmsg", Self::RobotSendMessage),
        ("Card.Instance.Write", Self::CardInstanceWrite),
        ("Card.Streaming.Write", Self::CardStreamingWrite),
        ("ConvFile.Space.Read", Self::ConvFileSpaceRead),
        ("Storage.File.Read", Self::StorageFileRead),
        ("Storage.DownloadInfo.Read", Self::StorageDownloadInfoRead),
        ("qyapi_get_member", Self::GetMember),
        ("qyapi_get_member_by_mobile", Self::GetMemberByMobile),
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::NAMES.into_iter().map(|(_, permission)| permission)
    }

    /// Its code.
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, known)| *known == self);
        named.expect("every permission has its code in the table").0
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What an app may do, and what it may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PermissionRow {
    /// What its calls may.
    pub granted: Vec<Permission>,
    /// What they may not.
    pub missing: Vec<Permission>,
}

/// The permissions of one app: all, but for those that are missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Permissions {
    missing: BTreeSet<Permission>,
}

impl Permissions {
    pub(crate) fn without(missing: &[Permission]) -> Self {
        Self { missing: missing.iter().copied().collect() }
    }

    pub(crate) fn lack(&self, permission: Permission) -> bool {
        self.missing.contains(&permission)
    }

    pub(crate) fn grant(&mut self, permissions: &[Permission]) {
        self.missing.retain(|missing| !permissions.contains(missing));
    }

    pub(crate) fn revoke(&mut self, permissions: &[Permission]) {
        self.missing.extend(permissions);
    }

    pub(crate) fn row(&self) -> PermissionRow {
        let (missing, granted) = Permission::all().partition(|each| self.lack(*each));
        PermissionRow { granted, missing }
    }
}

#[cfg(test)]
mod tests {
    use super::{Permission, Permissions};

    #[test]
    fn every_permission_has_a_code_of_its_own() {
        let mut names: Vec<&str> = Permission::all().map(Permission::name).collect();
        assert!(names.iter().all(|name| !name.is_empty()));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Permission::NAMES.len());
    }

    #[test]
    fn what_is_revoked_is_missing_until_it_is_granted() {
        let mut permissions = Permissions::without(&[Permission::GetMember]);
        permissions.revoke(&[Permission::CardStreamingWrite, Permission::GetMember]);
        let row = permissions.row();
        assert_eq!(row.missing, [Permission::CardStreamingWrite, Permission::GetMember]);
        assert_eq!(row.granted.len(), Permission::NAMES.len() - 2);
        permissions.grant(&row.missing);
        assert!(permissions.row().missing.is_empty());
    }
}
