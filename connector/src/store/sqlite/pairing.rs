//! The statements of pairing.

use rusqlite::{OptionalExtension, Row, Transaction, named_params};

use crate::credential::ClientId;
use crate::store::pairing::{
    Asked, CODE_LIFE_MS, PairedPerson, PairingRequest, TELL_PAUSE_MS, WAITING, Waiting, new_code,
};

pub(super) fn paired(
    db: &Transaction<'_>,
    client_id: &ClientId,
) -> rusqlite::Result<Vec<PairedPerson>> {
    db.prepare_cached(&format!("SELECT {PERSON} FROM paired WHERE client_id = :client_id"))?
        .query_map(named_params! { ":client_id": client_id.as_str() }, person_row)?
        .collect()
}

pub(super) fn everybody(db: &Transaction<'_>) -> rusqlite::Result<Vec<PairedPerson>> {
    db.prepare(&format!("SELECT {PERSON} FROM paired ORDER BY approved_at, sender, client_id"))?
        .query_map((), person_row)?
        .collect()
}

pub(super) fn take_telling(
    db: &Transaction<'_>,
    client_id: &ClientId,
    sender: &str,
) -> rusqlite::Result<bool> {
    let changed = db.execute(
        "UPDATE paired SET told = 1
         WHERE client_id = :client_id AND sender = :sender AND NOT told",
        named_params! { ":client_id": client_id.as_str(), ":sender": sender },
    )?;
    Ok(changed > 0)
}

pub(super) fn revoke(
    db: &Transaction<'_>,
    sender: &str,
    client_id: Option<&ClientId>,
) -> rusqlite::Result<Vec<PairedPerson>> {
    db.prepare(&format!(
        "DELETE FROM paired
         WHERE sender = :sender AND (:client_id IS NULL OR client_id = :client_id)
         RETURNING {PERSON}"
    ))?
    .query_map(
        named_params! { ":sender": sender, ":client_id": client_id.map(ClientId::as_str) },
        person_row,
    )?
    .collect()
}

const PERSON: &str = "client_id, sender, nick, approved_at, told";

fn person_row(row: &Row<'_>) -> rusqlite::Result<PairedPerson> {
    Ok(PairedPerson {
        client_id: ClientId::new(row.get::<_, String>(0)?),
        sender: row.get(1)?,
        nick: row.get(2)?,
        approved_at: row.get(3)?,
        told: row.get(4)?,
    })
}

pub(super) fn ask(
    db: &Transaction<'_>,
    request: &PairingRequest,
    now: i64,
) -> rusqlite::Result<Asked> {
    let client_id = request.client_id.as_str();
    let who = named_params! { ":client_id": client_id, ":sender": request.sender };
    let paired = db
        .prepare_cached("SELECT 1 FROM paired WHERE client_id = :client_id AND sender = :sender")?
        .exists(who)?;
    if paired {
        return Ok(Asked::Paired);
    }
    let expired = now.saturating_sub(CODE_LIFE_MS);
    db.prepare_cached("DELETE FROM pairing WHERE asked_at <= :expired")?
        .execute(named_params! { ":expired": expired })?;
    let known = db
        .prepare_cached(
            "SELECT code, told_at, denied FROM pairing
             WHERE client_id = :client_id AND sender = :sender",
        )?
        .query_row(who, |row| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?)))
        .optional()?;
    match known {
        Some((_, _, true)) => return Ok(Asked::Denied),
        Some((_, told_at, _)) if now.saturating_sub(told_at) < TELL_PAUSE_MS => {
            return Ok(Asked::Told);
        }
        Some((code, ..)) => {
            db.prepare_cached("UPDATE pairing SET told_at = :now WHERE code = :code")?
                .execute(named_params! { ":now": now, ":code": code })?;
            return Ok(Asked::Tell { code });
        }
        None => {}
    }
    let waiting: i64 = db
        .prepare_cached("SELECT count(*) FROM pairing WHERE client_id = :client_id AND NOT denied")?
        .query_row(named_params! { ":client_id": client_id }, |row| row.get(0))?;
    if usize::try_from(waiting).is_ok_and(|waiting| waiting >= WAITING) {
        return Ok(Asked::Full);
    }
    // A code that exists fails, and the next try has another one.
    let code = new_code();
    db.prepare_cached(
        "INSERT INTO pairing (code, client_id, sender, nick, asked_at, told_at, denied)
         VALUES (:code, :client_id, :sender, :nick, :now, :now, 0)",
    )?
    .execute(named_params! {
        ":code": code,
        ":client_id": client_id,
        ":sender": request.sender,
        ":nick": request.nick,
        ":now": now,
    })?;
    Ok(Asked::Tell { code })
}

const WAITS: &str = "SELECT client_id, sender, nick, code, asked_at FROM pairing
     WHERE NOT denied AND asked_at > :expired";

fn waiting_row(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    Ok(Waiting {
        request: PairingRequest {
            client_id: ClientId::new(row.get::<_, String>(0)?),
            sender: row.get(1)?,
            nick: row.get(2)?,
        },
        code: row.get(3)?,
        asked_at: row.get(4)?,
    })
}

pub(super) fn requests(db: &Transaction<'_>, now: i64) -> rusqlite::Result<Vec<Waiting>> {
    let expired = now.saturating_sub(CODE_LIFE_MS);
    db.prepare(&format!("{WAITS} ORDER BY asked_at, code"))?
        .query_map(named_params! { ":expired": expired }, waiting_row)?
        .collect()
}

pub(super) fn decide(
    db: &Transaction<'_>,
    code: &str,
    approved: bool,
    now: i64,
) -> rusqlite::Result<Option<Waiting>> {
    let expired = now.saturating_sub(CODE_LIFE_MS);
    let found = db
        .prepare(&format!("{WAITS} AND code = :code"))?
        .query_row(named_params! { ":expired": expired, ":code": code }, waiting_row)
        .optional()?;
    let Some(waiting) = found else { return Ok(None) };
    if approved {
        db.execute(
            "INSERT OR REPLACE INTO paired (client_id, sender, nick, approved_at, told)
             SELECT client_id, sender, nick, :now, 0 FROM pairing WHERE code = :code",
            named_params! { ":now": now, ":code": code },
        )?;
        db.execute("DELETE FROM pairing WHERE code = :code", named_params! { ":code": code })?;
    } else {
        db.execute(
            "UPDATE pairing SET denied = 1 WHERE code = :code",
            named_params! { ":code": code },
        )?;
    }
    Ok(Some(waiting))
}
