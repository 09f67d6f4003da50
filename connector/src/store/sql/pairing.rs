//! The statements of pairing.

use super::statement::Changed;
use super::{Db, Done, Reading, Row, params};
use crate::credential::ClientId;
use crate::store::StoreError;
use crate::store::pairing::{
    Asked, CODE_LIFE_MS, PairedPerson, PairingReader, PairingRequest, TELL_PAUSE_MS, WAITING,
    Waiting, new_code,
};

pub(super) fn paired(db: &dyn Db, client_id: &ClientId) -> Done<Vec<PairedPerson>> {
    db.all(
        &format!("SELECT {PERSON} FROM paired WHERE client_id = :client_id"),
        params! { ":client_id": client_id.as_str() },
        person_row,
    )
}

impl<R: Reading> PairingReader for R {
    fn everybody_paired(&self) -> Done<Vec<PairedPerson>> {
        self.read(|db| {
            db.all(
                &format!("SELECT {PERSON} FROM paired ORDER BY approved_at, sender, client_id"),
                params! {},
                person_row,
            )
        })
    }

    fn pairing_requests(&self, now: i64) -> Done<Vec<Waiting>> {
        let expired = now.saturating_sub(CODE_LIFE_MS);
        self.read(move |db| {
            db.all(
                &format!("{WAITS} ORDER BY asked_at, code"),
                params! { ":expired": expired },
                waiting_row,
            )
        })
    }
}

pub(super) fn take_telling(db: &dyn Db, client_id: &ClientId, sender: &str) -> Done<bool> {
    let changed = db.execute(
        "UPDATE paired SET told = TRUE
         WHERE client_id = :client_id AND sender = :sender AND NOT told",
        params! { ":client_id": client_id.as_str(), ":sender": sender },
    )?;
    Ok(changed > 0)
}

pub(super) fn revoke(
    db: &dyn Db,
    sender: &str,
    client_id: Option<&ClientId>,
) -> Done<Vec<PairedPerson>> {
    let revoked = db.all(
        &format!(
            "DELETE FROM paired
             WHERE sender = :sender AND client_id = coalesce(:client_id, client_id)
             RETURNING {PERSON}"
        ),
        params! { ":sender": sender, ":client_id": client_id.map(ClientId::as_str) },
        person_row,
    )?;
    for person in &revoked {
        db.tell(&person.client_id, Changed::Pairing)?;
    }
    Ok(revoked)
}

const PERSON: &str = "client_id, sender, nick, approved_at, told";

fn person_row(row: &dyn Row) -> Done<PairedPerson> {
    Ok(PairedPerson {
        client_id: ClientId::new(row.get::<String>(0)?),
        sender: row.get(1)?,
        nick: row.get(2)?,
        approved_at: row.get(3)?,
        told: row.get(4)?,
    })
}

pub(super) fn ask(db: &dyn Db, request: &PairingRequest, now: i64) -> Done<Asked> {
    let client_id = request.client_id.as_str();
    let paired = db.exists(
        "SELECT 1 FROM paired WHERE client_id = :client_id AND sender = :sender",
        params! { ":client_id": client_id, ":sender": request.sender },
    )?;
    if paired {
        return Ok(Asked::Paired);
    }
    let expired = now.saturating_sub(CODE_LIFE_MS);
    db.later("DELETE FROM pairing WHERE asked_at <= :expired", params! { ":expired": expired })?;
    if let Some(known) = known(db, request)? {
        return asks_again(db, known, now);
    }
    let waiting: i64 = db.one(
        "SELECT count(*) FROM pairing WHERE client_id = :client_id AND NOT denied",
        params! { ":client_id": client_id },
        |row| row.get(0),
    )?;
    if usize::try_from(waiting).is_ok_and(|waiting| waiting >= WAITING) {
        return Ok(Asked::Full);
    }
    let code = new_code();
    let inserted = db.execute(
        "INSERT INTO pairing (code, client_id, sender, nick, asked_at, told_at, denied)
         VALUES (:code, :client_id, :sender, :nick, :now, :now, FALSE) ON CONFLICT DO NOTHING",
        params! {
            ":code": code,
            ":client_id": client_id,
            ":sender": request.sender,
            ":nick": request.nick,
            ":now": now,
        },
    )?;
    if inserted > 0 {
        return Ok(Asked::Tell { code });
    }
    // They asked another process in the same moment; or the code exists, and the next try has another one.
    match known(db, request)? {
        Some(known) => asks_again(db, known, now),
        None => Err(StoreError::Failed("the pairing code exists already".to_owned())),
    }
}

/// One who has asked before.
struct Known {
    code: String,
    told_at: i64,
    denied: bool,
}

fn known(db: &dyn Db, request: &PairingRequest) -> Done<Option<Known>> {
    db.first(
        "SELECT code, told_at, denied FROM pairing
         WHERE client_id = :client_id AND sender = :sender",
        params! { ":client_id": request.client_id.as_str(), ":sender": request.sender },
        |row| Ok(Known { code: row.get(0)?, told_at: row.get(1)?, denied: row.get(2)? }),
    )
}

fn asks_again(db: &dyn Db, Known { code, told_at, denied }: Known, now: i64) -> Done<Asked> {
    if denied {
        return Ok(Asked::Denied);
    }
    if now.saturating_sub(told_at) < TELL_PAUSE_MS {
        return Ok(Asked::Told);
    }
    db.later(
        "UPDATE pairing SET told_at = :now WHERE code = :code",
        params! { ":now": now, ":code": code },
    )?;
    Ok(Asked::Tell { code })
}

const WAITS: &str = "SELECT client_id, sender, nick, code, asked_at FROM pairing
     WHERE NOT denied AND asked_at > :expired";

fn waiting_row(row: &dyn Row) -> Done<Waiting> {
    Ok(Waiting {
        request: PairingRequest {
            client_id: ClientId::new(row.get::<String>(0)?),
            sender: row.get(1)?,
            nick: row.get(2)?,
        },
        code: row.get(3)?,
        asked_at: row.get(4)?,
    })
}

pub(super) fn decide(db: &dyn Db, code: &str, approved: bool, now: i64) -> Done<Option<Waiting>> {
    let expired = now.saturating_sub(CODE_LIFE_MS);
    let found = db.first(
        &format!("{WAITS} AND code = :code"),
        params! { ":expired": expired, ":code": code },
        waiting_row,
    )?;
    let Some(waiting) = found else { return Ok(None) };
    if approved {
        db.later(
            "INSERT INTO paired (client_id, sender, nick, approved_at, told)
             SELECT client_id, sender, nick, CAST(:now AS bigint), FALSE FROM pairing WHERE code = :code
             ON CONFLICT (client_id, sender) DO UPDATE
             SET nick = excluded.nick, approved_at = excluded.approved_at, told = FALSE",
            params! { ":now": now, ":code": code },
        )?;
        db.later("DELETE FROM pairing WHERE code = :code", params! { ":code": code })?;
    } else {
        db.later("UPDATE pairing SET denied = TRUE WHERE code = :code", params! { ":code": code })?;
    }
    db.tell(&waiting.request.client_id, Changed::Pairing)?;
    Ok(Some(waiting))
}
