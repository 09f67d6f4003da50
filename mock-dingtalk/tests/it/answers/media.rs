//! `media/upload`, and the ways to what was uploaded.

use reqwest::RequestBuilder;

use super::Page;
use crate::caller::Caller;

const BOUNDARY: &str = "dingmock-boundary";

/// A form: fields, and a part `part` with a file.
fn form(fields: &[(&str, &str)], part: &str, file: Option<&str>, bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=");
    for (name, value) in fields {
        body.extend_from_slice(format!("{head}\"{name}\"\r\n\r\n{value}\r\n").as_bytes());
    }
    let name = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
    body.extend_from_slice(format!("{head}\"{part}\"{name}\r\n\r\n").as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn upload(caller: &Caller, query: &str, body: Vec<u8>) -> RequestBuilder {
    caller
        .bare("POST", &format!("/media/upload?{query}"))
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(body)
}

#[tokio::test]
async fn media_upload() {
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "POST", "/media/upload");
    let token = caller.token.clone();
    let of = |kind: &str| format!("access_token={token}&type={kind}");
    for (kind, names) in [
        ("image", &["a.jpg", "a.gif", "a.png", "a.bmp", "a.PNG", "a.jpeg", "a.webp"][..]),
        ("voice", &["a.amr", "a.mp3", "a.wav", "a.ogg", "a.opus"]),
        ("video", &["a.mp4", "a.avi"]),
        ("file", &["a.doc", "a.xlsx", "a.pdf", "a.rar", "a.zip", "a.pptx", "a.md", "a"]),
    ] {
        for name in names {
            let body = form(&[], "media", Some(name), b"x");
            page.case(&format!("{kind} {name}"), upload(&caller, &of(kind), body)).await;
        }
    }
    for (kind, name, most) in [
        ("image", "a.png", 20 << 20),
        ("voice", "a.amr", 2 << 20),
        ("video", "a.mp4", 20 << 20),
        ("file", "a.pdf", 20 << 20),
    ] {
        for bytes in [most, most + 1] {
            let body = form(&[], "media", Some(name), &vec![1; bytes]);
            let name = format!("{kind} of {bytes} bytes");
            page.case(&name, upload(&caller, &of(kind), body)).await;
        }
    }
    let png = |fields: &[(&str, &str)]| form(fields, "media", Some("a.png"), b"png");
    let in_form = [("access_token", token.as_str()), ("type", "image")];
    let bare = format!("access_token={token}");
    for (name, query, body) in [
        ("type in the form", bare.clone(), png(&[("type", "image")])),
        ("type and token in the form", String::new(), png(&in_form)),
        ("type in both", of("image"), png(&[("type", "image")])),
        ("no type", bare, png(&[])),
        ("an empty type", of(""), png(&[])),
        ("unknown type", of("audio"), png(&[])),
        ("type in other letters", of("Image"), png(&[])),
        ("an empty file", of("image"), form(&[], "media", Some("a.png"), b"")),
        ("a part without filename", of("image"), form(&[], "media", None, b"png")),
        ("an empty filename", of("image"), form(&[], "media", Some(""), b"png")),
        ("a part of another name", of("image"), form(&[], "file", Some("a.png"), b"png")),
        ("no form", of("image"), b"png".to_vec()),
        ("no body", of("image"), Vec::new()),
    ] {
        page.case(name, upload(&caller, &query, body)).await;
    }
    let typed = caller.bare("POST", &format!("/media/upload?{}", of("image")));
    page.case("another Content-Type", typed.body(png(&[]))).await;
    page.old_door(&mut caller, |caller, token| {
        let token = token.map(|token| format!("&access_token={token}")).unwrap_or_default();
        upload(caller, &format!("type=image{token}"), png(&[]))
    })
    .await;
    page.done();
}

/// An upload's id.
async fn uploaded(caller: &Caller) -> String {
    let query = format!("access_token={}&type=file", caller.token);
    let body = form(&[], "media", Some("a.zip"), b"zip");
    let answer = upload(caller, &query, body).send().await.unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    answer["media_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn media_download_file() {
    const PATH: &str = "/media/downloadFile";
    let mut caller = Caller::new().await;
    let mut page = Page::new(&caller, "GET", PATH);
    let id = uploaded(&caller).await;
    page.hide(&id, "media_id");
    let encoded = id.replace('@', "%40");
    let get = |caller: &Caller, token: &str, id: &str| {
        caller.bare("GET", &format!("{PATH}?access_token={token}&media_id={id}"))
    };
    for (name, id) in [
        ("right", encoded.as_str()),
        ("without the at sign", &id[1..]),
        ("an at sign that is not encoded", &id),
        ("unknown id", "@lALPnone"),
        ("an empty id", ""),
    ] {
        page.case(name, get(&caller, &caller.token, id)).await;
    }
    let none = caller.bare("GET", &format!("{PATH}?access_token={}", caller.token));
    page.case("no id", none).await;
    let other = caller.mock.app();
    let answer = caller
        .bare("POST", "/v1.0/oauth2/accessToken")
        .json(&serde_json::json!({
            "appKey": other.client_id(), "appSecret": other.client_secret(),
        }))
        .send()
        .await
        .unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    let token = answer["accessToken"].as_str().unwrap();
    page.case("by the token of another app", get(&caller, token, &encoded)).await;
    page.old_door(&mut caller, |caller, token| match token {
        Some(token) => get(caller, token, &encoded),
        None => caller.bare("GET", &format!("{PATH}?media_id={encoded}")),
    })
    .await;
    page.done();
}

#[tokio::test]
async fn media_public() {
    let caller = Caller::new().await;
    let mut page = Page::new(&caller, "GET", "/media/{}");
    let id = uploaded(&caller).await;
    let other = format!("{}0000", &id[..id.len() - 4]);
    page.hide(&id, "media_id");
    page.hide(&other, "another media_id");
    for (name, id) in [
        ("right", id.replace('@', "%40")),
        ("an at sign that is not encoded", id.clone()),
        ("without the at sign", id[1..].to_owned()),
        ("unknown id", "@lALPnone".to_owned()),
        ("an id that the app never had", other.clone()),
    ] {
        page.case(name, caller.bare("GET", &format!("/media/{id}"))).await;
    }
    page.done();
}
