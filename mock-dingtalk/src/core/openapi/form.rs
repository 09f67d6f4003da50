//! Bodies that are forms: `multipart/form-data`, as far as an upload needs it (RFC 7578), and
//! `application/x-www-form-urlencoded`.

use bytes::Bytes;

/// The parts of a form.
#[derive(Debug, Default)]
pub(crate) struct Form {
    parts: Vec<Part>,
    /// Written as a query is, so that no part can be a file.
    urlencoded: bool,
}

/// One part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    /// Present where the part is a file.
    pub(super) file_name: Option<String>,
    pub(super) bytes: Bytes,
}

/// More parts than any client sends.
const MAX_PARTS: usize = 64;

impl Form {
    /// Reads a body by its `Content-Type`. `None` if it is no such form, or a broken one.
    pub(super) fn parse(content_type: &str, body: &Bytes) -> Option<Self> {
        let mut parameters = content_type.split(';').map(str::trim);
        let kind = parameters.next()?;
        if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Some(Self::urlencoded(body));
        }
        if !kind.eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let boundary = parameters.find_map(|parameter| parameter.strip_prefix("boundary="))?;
        let delimiter = format!("\r\n--{}", boundary.trim_matches('"'));
        let mut parts = Vec::new();
        let mut at = if body.starts_with(&delimiter.as_bytes()[2..]) {
            delimiter.len() - 2
        } else {
            find(body, delimiter.as_bytes(), 0)? + delimiter.len()
        };
        while !body[at..].starts_with(b"--") {
            let head_start = find(body, b"\r\n", at)? + 2;
            let head_end = find(body, b"\r\n\r\n", head_start)?;
            let end = find(body, delimiter.as_bytes(), head_end + 2)?;
            if parts.len() == MAX_PARTS {
                return None;
            }
            let head = String::from_utf8_lossy(&body[head_start..head_end]);
            let bytes = body.slice((head_end + 4).min(end)..end);
            parts.push(Part {
                name: disposition(&head, "name")?,
                file_name: disposition(&head, "filename"),
                bytes,
            });
            at = end + delimiter.len();
        }
        Some(Self { parts, urlencoded: false })
    }

    fn urlencoded(body: &Bytes) -> Self {
        let pairs = url::form_urlencoded::parse(body).take(MAX_PARTS);
        let parts = pairs.map(|(name, value)| Part {
            name: name.into_owned(),
            file_name: None,
            bytes: value.into_owned().into(),
        });
        Self { parts: parts.collect(), urlencoded: true }
    }

    /// A part that may be a file.
    pub(super) fn file(&self, name: &str) -> Option<&Part> {
        self.part(name).filter(|_| !self.urlencoded)
    }

    fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// A field that is no file.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.part(name).map(|part| String::from_utf8_lossy(&part.bytes).into_owned())
    }
}

/// A parameter of `Content-Disposition`, quoted or not.
fn disposition(head: &str, name: &str) -> Option<String> {
    let line = head.split("\r\n").find(|line| {
        line.get(..20).is_some_and(|start| start.eq_ignore_ascii_case("content-disposition:"))
    })?;
    line.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.trim().split_once('=')?;
        (key == name).then(|| value.trim_matches('"').to_owned())
    })
}

fn find(body: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let first = *what.first()?;
    let mut at = from;
    loop {
        at += body.get(at..)?.iter().position(|byte| *byte == first)?;
        if body[at..].starts_with(what) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::Form;

    const TYPE: &str = "multipart/form-data; boundary=xx";

    #[test]
    fn fields_and_files_are_told_apart() {
        let body = Bytes::from_static(
            b"--xx\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\nimage\r\n--xx\r\n\
              content-disposition: form-data; name=\"media\"; filename=\"a.png\"\r\n\
              Content-Type: image/png\r\n\r\n\x89PNG\r\n--x\r\n--xx--\r\n",
        );
        let form = Form::parse(TYPE, &body).unwrap();
        assert_eq!(form.text("type").as_deref(), Some("image"));
        let media = form.file("media").unwrap();
        assert_eq!(media.file_name.as_deref(), Some("a.png"));
        assert_eq!(&media.bytes[..], b"\x89PNG\r\n--x");
        assert_eq!(form.part("other"), None);
    }

    #[test]
    fn a_form_written_as_a_query_has_fields_and_no_files() {
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        let form =
            Form::parse(kind, &Bytes::from_static(b"userid=a%20b&media=x&userid=c")).unwrap();
        assert_eq!(form.text("userid").as_deref(), Some("a b"));
        assert_eq!(form.text("media").as_deref(), Some("x"));
        assert_eq!(form.file("media"), None);
        assert_eq!(form.text("other"), None);
    }

    #[test]
    fn what_is_no_form_is_none() {
        for (kind, body) in [
            ("application/json", "--xx--"),
            ("multipart/form-data", "--xx--"),
            (TYPE, ""),
            (TYPE, "--xx"),
            (TYPE, "--xx\r\n\r\nhi\r\n--xx--"),
            (TYPE, "--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhi"),
        ] {
            assert!(Form::parse(kind, &Bytes::from(body)).is_none(), "{kind} {body:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_or_are_refused(
            head in "[-x\r\na-z:;= ]{0,40}", content in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = Form::parse(TYPE, &Bytes::from(head));
            let mut body = b"--xx\r\nContent-Disposition: form-data; name=\"m\"\r\n\r\n".to_vec();
            body.extend_from_slice(&content);
            body.extend_from_slice(b"\r\n--xx--\r\n");
            let form = Form::parse(TYPE, &Bytes::from(body)).unwrap();
            if !content.windows(6).any(|six| six == b"\r\n--xx") {
                prop_assert_eq!(&form.file("m").unwrap().bytes[..], &content[..]);
            }
        }
    }
}
