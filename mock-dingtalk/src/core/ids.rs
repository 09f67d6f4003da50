//! Ids, minted from an app's own seed in the shapes that DingTalk's have.
//!
//! Everything that could be taken for a secret or for somebody's id begins with `dingmock`, or
//! with DingTalk's own prefix followed by `dingmock`, so that a leak can be found by searching.

use std::fmt::Write as _;

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use super::{Moment, app::AppNumber};

/// The source of every id and every choice of one app.
#[derive(Debug)]
pub(crate) struct Mint {
    rng: StdRng,
    frames: u32,
    /// What `rng` was last seeded with.
    origin: u64,
}

/// A copy draws from the last seed on: it is the same only right after [`Mint::settle`], and as
/// long as nothing was drawn since.
impl Clone for Mint {
    fn clone(&self) -> Self {
        Self { rng: StdRng::seed_from_u64(self.origin), ..*self }
    }
}

impl Mint {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), frames: 0, origin: seed }
    }

    /// Goes on from a seed of its own drawing, so that a copy draws what it draws: the state of
    /// the generator itself cannot be copied.
    pub(crate) fn settle(&mut self) {
        self.origin = self.rng.next_u64();
        self.rng = StdRng::seed_from_u64(self.origin);
    }

    /// A number from `0..below`. `below` must not be 0.
    pub(crate) fn choose(&mut self, below: usize) -> usize {
        self.rng.random_range(0..below)
    }

    pub(crate) fn seed(&mut self) -> u64 {
        self.rng.next_u64()
    }

    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits);
        while text.len() < digits {
            let nibble = self.rng.random_range(0..16_u32);
            text.push(char::from_digit(nibble, 16).expect("a nibble is below 16"));
        }
        text
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    pub(crate) fn client_id(&mut self) -> String {
        format!("dingmock{}", self.hex(12))
    }

    pub(crate) fn client_secret(&mut self) -> String {
        format!("dingmock-secret-{}", self.hex(48))
    }

    pub(crate) fn corp_id(&mut self) -> String {
        format!("dingmockcorp{}", self.hex(20))
    }

    /// Letters and digits only: clients differ in how they encode the query
    /// (stream-protocol, 3.1), and a UUID survives all of them.
    pub(crate) fn ticket(&mut self) -> String {
        self.uuid().to_string()
    }

    /// 32 characters, as a real one, with the app's number inside.
    pub(crate) fn session(&mut self, app: AppNumber) -> String {
        self.owned(app)
    }

    /// 32 characters, as a real one, with the app's number inside.
    pub(crate) fn access_token(&mut self, app: AppNumber) -> String {
        self.owned(app)
    }

    /// 64 characters, as a real one, with the app's number inside.
    pub(crate) fn custom_robot_token(&mut self, app: AppNumber) -> String {
        format!("dingmock{:06x}{}", app.0, self.hex(50))
    }

    /// 40 characters without prefix, with the app's number inside.
    pub(crate) fn media_id(&mut self, app: AppNumber) -> String {
        format!("dingmock{:06x}{}", app.0, self.hex(26))
    }

    fn owned(&mut self, app: AppNumber) -> String {
        format!("dingmock{:06x}{}", app.0, self.hex(18))
    }

    pub(crate) fn msg_id(&mut self) -> String {
        format!("msgdingmock{}==", self.hex(14))
    }

    pub(crate) fn conversation_id(&mut self) -> String {
        format!("ciddingmock{}==", self.hex(14))
    }

    pub(crate) fn dingtalk_id(&mut self) -> String {
        format!("$:LWCP_v1:$dingmock{}==", self.hex(14))
    }

    pub(crate) fn process_query_key(&mut self) -> String {
        format!("dingmock{}==", self.hex(22))
    }

    /// The shape seen in CALLBACK and EVENT frames: address, process, time and counter in hex.
    pub(crate) fn message_id(&mut self, now: Moment) -> String {
        self.frames = self.frames.wrapping_add(1);
        let process = self.rng.random_range(0x100..0x1000_u32);
        format!("7f000001_{process:x}_{:x}_{:x}", now.unix_ms.max(0), self.frames)
    }

    /// The shape seen in SYSTEM frames: address in hex, time in decimal, counter in hex.
    pub(crate) fn system_message_id(&mut self, now: Moment) -> String {
        self.frames = self.frames.wrapping_add(1);
        let mut id = format!("7f000001{:013}", now.unix_ms.max(0));
        let _ = write!(id, "{:05x}", self.frames & 0xf_ffff);
        id
    }
}

/// The number of the app that a session or token was minted for, if it is one of ours.
pub(crate) fn owner(id: &str) -> Option<AppNumber> {
    let digits = id.strip_prefix("dingmock")?.get(..6)?;
    u32::from_str_radix(digits, 16).ok().map(AppNumber)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::app::AppNumber, Mint, owner};
    use crate::core::Moment;

    #[test]
    fn one_seed_gives_the_same_ids_again() {
        let draw =
            |mut mint: Mint| (mint.client_id(), mint.ticket(), mint.msg_id(), mint.choose(9));
        assert_eq!(draw(Mint::new(7)), draw(Mint::new(7)));
        assert_ne!(draw(Mint::new(7)), draw(Mint::new(8)));
    }

    #[test]
    fn a_copy_of_a_settled_mint_draws_the_same() {
        let mut mint = Mint::new(7);
        let before = mint.ticket();
        mint.settle();
        let (mut copy, again) = (mint.clone(), mint.clone());
        let drawn = mint.ticket();
        assert_ne!(drawn, before);
        assert_eq!(copy.ticket(), drawn);
        assert_eq!(again.clone().ticket(), drawn);
    }

    #[test]
    fn sessions_and_tokens_name_their_app_and_have_the_real_length() {
        let mut mint = Mint::new(1);
        for id in [mint.session(AppNumber(0x00ab_cdef)), mint.access_token(AppNumber(0x00ab_cdef))]
        {
            assert_eq!(id.len(), 32);
            assert_eq!(owner(&id), Some(AppNumber(0x00ab_cdef)));
        }
        for alien in ["", "dingmock", "dingmock00", "dingmockzzzzzz", "0123456789", "dingmock-ÄÄÄ"]
        {
            assert_eq!(owner(alien), None, "{alien}");
        }
    }

    #[test]
    fn message_ids_differ_within_one_millisecond() {
        let mut mint = Mint::new(1);
        let now = Moment { since_start: Duration::ZERO, unix_ms: 1_780_000_000_000 };
        assert_ne!(mint.message_id(now), mint.message_id(now));
        assert_ne!(mint.system_message_id(now), mint.system_message_id(now));
    }
}
