//! What is known of this build.

/// Version, commit (where the packager named it in `DDINGTALK_COMMIT`), compiler, target, features.
pub(super) const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("DDINGTALK_COMMIT"),
    "\nrustc: ",
    env!("DDINGTALK_RUSTC"),
    "\ntarget: ",
    env!("DDINGTALK_TARGET"),
    "\nfeatures: ",
    env!("DDINGTALK_FEATURES"),
);
