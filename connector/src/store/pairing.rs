//! Who was paired with a robot, and who waits for it. Other processes write here, too: a tool approves
//! while the robot runs.

use crate::credential::ClientId;

use super::{Pending, StoreError};

/// Letters of a code: none that is taken for another one (0 O, 1 I).
pub const CODE_LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Letters in a code.
pub const CODE_LENGTH: usize = 8;
/// A code, or its denial, is good for so long, in milliseconds.
pub const CODE_LIFE_MS: i64 = 3_600_000;
/// Strangers of one app that may wait at a time, as with OpenClaw.
pub const WAITING: usize = 3;
/// A stranger is not told again within this time, in milliseconds: two robots that hint at each other
/// must fall silent.
pub const TELL_PAUSE_MS: i64 = 600_000;

/// The part of a store that pairing needs. Times are milliseconds since 1970 UTC.
pub trait PairingStore {
    /// Everybody who was paired with an app.
    fn paired(&self, client_id: &ClientId) -> Pending<Vec<PairedPerson>>;

    /// Whoever asks first is to tell a person of the pairing, and gets `true`; everybody else gets
    /// `false`.
    fn take_telling(&self, client_id: &ClientId, sender: String) -> Pending<bool>;

    /// Ends the pairing of a person, with one app or with all; returns what it ended.
    fn revoke_pairing(
        &self,
        sender: String,
        client_id: Option<ClientId>,
    ) -> Pending<Vec<PairedPerson>>;

    /// A stranger has written: makes a code, unless there is no need or no room.
    fn ask_pairing(&self, request: PairingRequest, now: i64) -> Pending<Asked>;

    /// Approves or denies a request; `None` if no such code waits.
    fn decide_pairing(&self, code: String, approved: bool, now: i64) -> Pending<Option<Waiting>>;
}

/// Reads who is paired beside a robot that may be at work. Calls may take long, and block.
pub trait PairingReader {
    /// Everybody who was paired, of all apps, oldest first.
    fn everybody_paired(&self) -> Result<Vec<PairedPerson>, StoreError>;

    /// Whoever waits, of all apps, oldest first.
    fn pairing_requests(&self, now: i64) -> Result<Vec<Waiting>, StoreError>;
}

/// A person who was paired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairedPerson {
    /// The app.
    pub client_id: ClientId,
    /// The userId, or the encrypted id of somebody without one.
    pub sender: String,
    /// Display name at the time of asking.
    pub nick: Option<String>,
    /// When.
    pub approved_at: i64,
    /// Somebody has told the person, or is about to.
    pub told: bool,
}

/// A stranger who has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingRequest {
    /// The app.
    pub client_id: ClientId,
    /// The userId, or the encrypted id of somebody without one.
    pub sender: String,
    /// Display name.
    pub nick: Option<String>,
}

/// What became of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The person is no stranger any more.
    Paired,
    /// The stranger is to be told this code.
    Tell {
        /// The code.
        code: String,
    },
    /// The stranger was told a code not long ago.
    Told,
    /// The request was denied within the last hour.
    Denied,
    /// [`WAITING`] others wait.
    Full,
}

/// A stranger with a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Who.
    pub request: PairingRequest,
    /// The code.
    pub code: String,
    /// When it was made.
    pub asked_at: i64,
}

/// A new code.
pub fn new_code() -> String {
    let random: [u8; CODE_LENGTH] = rand::random();
    random.iter().map(|byte| char::from(CODE_LETTERS[usize::from(byte % 32)])).collect()
}
