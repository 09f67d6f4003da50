//! A server that speaks TLS. Include it beside `cluster.rs` and `standby.rs`.

use std::os::unix::fs::{PermissionsExt, chown};

use super::cluster::Cluster;

impl Cluster {
    /// From now on it does, with a certificate and its key in PEM.
    pub(crate) fn speak_tls(&self, cert: &str, key: &str) {
        for (name, text) in [("server.crt", cert), ("server.key", key)] {
            let path = self.dir.join("data").join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = self.user {
                chown(&path, Some(uid), Some(gid)).unwrap();
            }
        }
        self.set("ssl", "on");
        // It needs a moment to know it.
        while self.sql("postgres", "SHOW ssl").concat() != "on" {
            std::thread::yield_now();
        }
    }
}
