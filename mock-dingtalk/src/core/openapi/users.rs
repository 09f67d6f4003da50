//! People: `topapi/v2/user/get`, `/user/get`, `getbymobile`, `getbyunionid`, `contact/users/me`.

use serde_json::{Value, json};

use super::{answer::Reply, ask::Ask, door::PERMISSION_DENIED};
use crate::core::{
    app::{App, Cx},
    journal::Diagnosis,
    people::Person,
};

const SEE: &str = "openapi.md 7 (KB 0056, KB 0063, KB 0064)";

/// `POST /topapi/v2/user/get` with `userid`.
pub(super) fn get(_: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let user_id = field(ask, "userid").ok_or_else(|| {
        refuse(33012, "无效的USERID", "userid is missing or empty", "a user id".to_owned())
    })?;
    let person = app.people.get(&user_id).ok_or_else(|| nobody(&user_id))?.clone();
    let result = json!({
        "userid": person.user_id,
        "unionid": person.union_id(),
        "name": person.nick,
        "avatar": "",
        "mobile": mobile(&person),
        "title": "",
        "dept_id_list": [1],
        "active": true,
        "admin": false,
        "boss": false,
        "senior": false,
        "role_list": [],
        "leader_in_dept": [{ "dept_id": 1, "leader": false }],
    });
    Ok(found(app, &result))
}

/// `GET /user/get?userid=`: the old flat shape.
pub(super) fn get_old(_: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let user_id = ask.call.query("userid").filter(|id| !id.is_empty()).ok_or_else(|| {
        refuse(33012, "无效的USERID", "userid is missing or empty", "a user id".to_owned())
    })?;
    let person = app.people.get(&user_id).ok_or_else(|| nobody(&user_id))?;
    Ok(Reply::ok(json!({
        "errcode": 0,
        "errmsg": "ok",
        "unionid": person.union_id(),
        "userid": person.user_id,
        "name": person.nick,
    })))
}

/// `POST /topapi/v2/user/getbymobile` with `mobile`.
pub(super) fn by_mobile(_: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let number = field(ask, "mobile")
        .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| {
            let expected = "digits only".to_owned();
            refuse(40104, "无效的手机号码", "mobile is missing or no number", expected)
        })?;
    let person = app.people.all().find(|person| mobile(person) == number);
    let user_id = person.ok_or_else(|| nobody(&number))?.user_id.clone();
    Ok(found(app, &json!({ "userid": user_id })))
}

/// `POST /topapi/user/getbyunionid` with `unionid`.
pub(super) fn by_union_id(_: &mut Cx<'_>, app: &mut App, ask: &Ask<'_>) -> Result<Reply, Reply> {
    let id = field(ask, "unionid").ok_or_else(|| {
        let expected = "a unionid".to_owned();
        refuse(400_002, "无效的参数", "unionid is missing or empty", expected)
    })?;
    let person = app.people.all().find(|person| person.union_id() == id);
    let user_id = person.ok_or_else(|| nobody(&id))?.user_id.clone();
    // Nothing but people of the corporation is modelled, hence contact type 0.
    Ok(found(app, &json!({ "contact_type": 0, "userid": user_id })))
}

/// `GET /v1.0/contact/users/me`: it wants a person's token, and an app's is all there is
/// (casdoor/casdoor#4469).
pub(super) fn me(_: &mut Cx<'_>, _: &mut App, _: &Ask<'_>) -> Result<Reply, Reply> {
    let message = "没有调用该接口的权限";
    let diagnosis = Diagnosis::new("the token is an app's", "a person's token", SEE);
    Err(Reply::denied(403, PERMISSION_DENIED, message, vec!["Contact.User.Read".to_owned()])
        .diagnosed(diagnosis))
}

fn found(app: &mut App, result: &Value) -> Reply {
    let request_id = app.mint.hex(12);
    Reply::ok(json!({
        "errcode": 0, "errmsg": "ok", "request_id": request_id, "result": result,
    }))
}

/// A member of the body, which may be JSON or a form, as the old host takes both.
fn field(ask: &Ask<'_>, name: &str) -> Option<String> {
    let text = match ask.json {
        Some(body) => body.get(name)?.as_str()?.to_owned(),
        None => ask.form?.text(name)?,
    };
    (!text.is_empty()).then_some(text)
}

/// A token that stands in the form only. The gateway reads its parameters from both places; the
/// pages show the query alone, and so do all clients that are known.
pub(super) fn token_in_form(ask: &Ask<'_>) -> Option<Diagnosis> {
    let in_form = ask.form?.text("access_token").is_some();
    let in_query = ask.call.query("access_token").is_some();
    (in_form && !in_query).then(|| {
        Diagnosis::new("access_token stands in the form", "?access_token=", "openapi.md 0")
    })
}

/// A number of the range that is set aside for fiction elsewhere, told from the user id.
fn mobile(person: &Person) -> String {
    let sum = person
        .user_id
        .bytes()
        .fold(0_u64, |sum, byte| sum.wrapping_mul(257).wrapping_add(u64::from(byte)) % 100_000_000);
    format!("100{sum:08}")
}

fn nobody(id: &str) -> Reply {
    refuse(60121, "找不到该用户", &format!("nobody is {id:?}"), "a person of the app".to_owned())
}

fn refuse(errcode: i64, errmsg: &str, problem: &str, expected: String) -> Reply {
    Reply::errcode(errcode, errmsg).diagnosed(Diagnosis::new(problem, expected, SEE))
}
