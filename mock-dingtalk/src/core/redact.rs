//! Takes secrets out of journal entries, and keeps apart what was apart.
//!
//! A secret becomes `«KIND-N»`: within one export the same secret has the same mark, and two have
//! two. Secrets are those that the mock handed out, and whatever stands where one belongs.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use super::journal::Entry;

/// What a secret is for; the first word of its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Secret,
    Token,
    Ticket,
    Session,
    Signature,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Token => "token",
            Self::Ticket => "ticket",
            Self::Session => "session",
            Self::Signature => "signature",
        }
    }
}

/// Where secrets stand: in JSON under these names, however often escaped, after `name=`, or in
/// `<name>`.
const NAMED: [(&str, Kind); 11] = [
    ("clientSecret", Kind::Secret),
    ("appSecret", Kind::Secret),
    ("appsecret", Kind::Secret),
    ("apiSecret", Kind::Secret),
    ("Authorization", Kind::Signature),
    ("client_secret", Kind::Secret),
    ("accessToken", Kind::Token),
    ("access_token", Kind::Token),
    ("ticket", Kind::Ticket),
    ("session", Kind::Session),
    ("Signature", Kind::Signature),
];

/// Shorter ones are words; replacing them everywhere would leave nothing to read.
const SHORTEST: usize = 6;

/// The marks of one export.
#[derive(Debug)]
pub(crate) struct Redactor {
    marks: HashMap<Arc<str>, Arc<str>>,
    /// The lengths of secrets by their first bytes: many begin alike, and few differ in length.
    lengths: HashMap<[u8; SHORTEST], BTreeSet<usize>>,
    /// All of them in order, for those of which only the beginning is there.
    sorted: BTreeSet<Arc<str>>,
    counts: HashMap<Kind, usize>,
}

impl Redactor {
    /// Learns what `entries` show, and what is `known` besides.
    pub(crate) fn new<'a>(
        entries: impl IntoIterator<Item = &'a Entry>,
        known: impl IntoIterator<Item = (Kind, String)>,
    ) -> Self {
        let mut new = Self {
            marks: HashMap::new(),
            lengths: HashMap::new(),
            sorted: BTreeSet::new(),
            counts: HashMap::new(),
        };
        // What is known comes first, whole: a part of it may stand where it was cut.
        for (kind, secret) in known {
            new.learn(kind, &secret);
        }
        for entry in entries {
            for text in entry.texts() {
                for (kind, secret) in named(text) {
                    new.learn(kind, secret);
                }
            }
        }
        new
    }

    fn learn(&mut self, kind: Kind, secret: &str) {
        if secret.len() < SHORTEST || self.marks.contains_key(secret) {
            return;
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let mark: Arc<str> = format!("«{}-{count}»", kind.name()).into();
        let escaped = escape(secret);
        let forms = [
            secret.to_owned(),
            escape(&escaped),
            escaped,
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        ];
        for form in forms {
            let form: Arc<str> = form.into();
            let bytes = form.as_bytes();
            let Some(start) = bytes.first_chunk::<SHORTEST>() else { continue };
            if self.marks.insert(Arc::clone(&form), Arc::clone(&mark)).is_none() {
                self.lengths.entry(*start).or_default().insert(form.len());
                self.sorted.insert(form);
            }
        }
    }

    /// The entry without secrets.
    pub(crate) fn entry(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        let cut = entry.truncated;
        entry.text = self.text(&entry.text, cut);
        for body in [&mut entry.body, &mut entry.answer] {
            *body = body.as_deref().map(|body| self.text(body, cut).into());
        }
        if let Some(diagnosis) = &mut entry.diagnosis {
            diagnosis.problem = self.text(&diagnosis.problem, cut);
            diagnosis.expected = self.text(&diagnosis.expected, cut);
        }
        entry
    }

    /// `text` with marks. Where it was `cut`, a beginning of a secret at the cut counts as one.
    fn text(&self, text: &str, cut: bool) -> String {
        let end = if cut { text.rfind(" [").unwrap_or(text.len()) } else { text.len() };
        let mut out = String::with_capacity(text.len());
        let (mut at, mut copied) = (0, 0);
        while at < text.len() {
            let Some((mark, len)) = self.secret_at(text, at, cut.then_some(end)) else {
                at += 1;
                continue;
            };
            out.push_str(&text[copied..at]);
            out.push_str(mark);
            at += len;
            copied = at;
        }
        out.push_str(&text[copied..]);
        out
    }

    /// The mark of the secret that begins at `at`, and how much of it is there.
    fn secret_at(&self, text: &str, at: usize, cut: Option<usize>) -> Option<(&str, usize)> {
        let start = text.as_bytes().get(at..)?.first_chunk::<SHORTEST>()?;
        let longest_first = self.lengths.get(start)?.iter().rev();
        let mut whole = longest_first.filter_map(|len| {
            let mark = self.marks.get(text.get(at..at + len)?)?;
            Some((&**mark, *len))
        });
        if let Some(found) = whole.next() {
            return Some(found);
        }
        let left = text.get(at..cut?).filter(|left| left.len() >= SHORTEST)?;
        let from = (Bound::Included(left), Bound::Unbounded);
        let secret = self.sorted.range::<str, _>(from).next()?;
        secret.starts_with(left).then(|| (&*self.marks[secret], left.len()))
    }
}

impl Entry {
    fn texts(&self) -> impl Iterator<Item = &str> {
        [Some(self.text.as_str()), self.body.as_deref(), self.answer.as_deref()]
            .into_iter()
            .flatten()
    }
}

/// As inside of a JSON string.
fn escape(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// What stands where secrets belong.
fn named(text: &str) -> impl Iterator<Item = (Kind, &str)> {
    NAMED.iter().flat_map(move |(name, kind)| {
        text.match_indices(name).filter_map(move |(at, _)| {
            let rest = &text[at + name.len()..];
            let in_xml = || text[..at].ends_with('<').then(|| rest.strip_prefix('>')).flatten();
            let (value, quoted) = if let Some(value) = rest.strip_prefix('=').or_else(in_xml) {
                (value, false)
            } else {
                // "name":"value", with any number of backslashes before the quotes.
                let rest = rest.trim_start_matches('\\').strip_prefix('"')?;
                let rest = rest.trim_start().strip_prefix(':')?.trim_start();
                (rest.trim_start_matches('\\').strip_prefix('"')?, true)
            };
            let end = value.find(|c: char| match c {
                '"' | '\\' => true,
                '&' | '<' | '>' | '«' | '»' => !quoted,
                _ => !quoted && c.is_whitespace(),
            });
            Some((*kind, &value[..end.unwrap_or(value.len())]))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::{Kind, Redactor, escape};
    use crate::core::journal::{Draft, Entry, EntryKind, Journals};

    fn entry(body: &str) -> Arc<Entry> {
        let draft = Draft::new(EntryKind::FrameOut, "x").body(body.into());
        Journals::default().add(0, None, draft)
    }

    fn redacted(bodies: &[&str], known: &[(Kind, &str)]) -> Vec<String> {
        let entries: Vec<_> = bodies.iter().map(|body| entry(body)).collect();
        let known = known.iter().map(|(kind, secret)| (*kind, (*secret).to_owned()));
        let redactor = Redactor::new(entries.iter().map(|entry| &**entry), known);
        let body = |entry: &Arc<Entry>| redactor.entry(entry).body.unwrap().to_string();
        entries.iter().map(body).collect()
    }

    #[test]
    fn the_same_secret_has_the_same_mark_wherever_it_stands() {
        let url = "http://h/robot/sendBySession?session=dingmock000001abcdef";
        let frame = json!({"data": json!({"sessionWebhook": url}).to_string()}).to_string();
        let bodies = [
            r#"{"accessToken":"aaaaaaaa","expireIn":7200}"#,
            r#"{"access_token": "bbbbbbbb"}"#,
            "he said aaaaaaaa, not bbbbbbbb",
            frame.as_str(),
            r#"{"clientSecret":"never minted"}"#,
        ];
        let shown = redacted(&bodies, &[]);
        assert_eq!(shown[0], r#"{"accessToken":"«token-1»","expireIn":7200}"#);
        assert_eq!(shown[1], r#"{"access_token": "«token-2»"}"#);
        assert_eq!(shown[2], "he said «token-1», not «token-2»");
        assert!(shown[3].contains("session=«session-1»\\\""), "{}", shown[3]);
        assert_eq!(shown[4], r#"{"clientSecret":"«secret-1»"}"#);
    }

    #[test]
    fn secrets_are_found_wherever_apis_put_them() {
        let shown = redacted(
            &[
                r#"{"callbackUrl":"http://x/","apiSecret":"of-a-callback"}"#,
                r#"{"headers":{"Authorization":"OSS dingmock:0123abcd"}}"#,
                "<result><endpoint>ws://h/</endpoint><ticket>a-ticket-of-old</ticket></result>",
                "<accessToken>a-token-of-old</accessToken><expireIn>7200</expireIn>",
                "they were a-ticket-of-old and a-token-of-old",
            ],
            &[],
        );
        assert_eq!(shown[0], r#"{"callbackUrl":"http://x/","apiSecret":"«secret-1»"}"#);
        assert_eq!(shown[1], r#"{"headers":{"Authorization":"«signature-1»"}}"#);
        assert!(shown[2].ends_with("<ticket>«ticket-1»</ticket></result>"), "{}", shown[2]);
        assert!(shown[3].starts_with("<accessToken>«token-1»</accessToken>"), "{}", shown[3]);
        assert_eq!(shown[4], "they were «ticket-1» and «token-1»");
    }

    #[test]
    fn many_that_begin_alike_are_not_gone_through_one_by_one() {
        let known = (0..2_000).map(|n| (Kind::Session, format!("dingmock{n:024}")));
        let redactor = Redactor::new([], known);
        assert_eq!(redactor.lengths.len(), 1);
        assert_eq!(redactor.lengths[b"dingmo"].len(), 1);
        let text = redactor.text(&format!("it is dingmock{:024}.", 1_999), false);
        assert_eq!(text, "it is «session-2000».");
    }

    #[test]
    fn a_secret_that_was_cut_is_gone_too() {
        let long = format!("{}secret-of-an-app", "x".repeat(65_536 - 8));
        let shown = redacted(&[&long], &[(Kind::Secret, "secret-of-an-app")]);
        assert!(shown[0].ends_with("x«secret-1» [8 bytes more]"), "{}", &shown[0][65_500..]);
    }

    proptest! {
        #[test]
        fn no_secret_stays_and_no_two_become_one(
            secrets in prop::collection::hash_set("[ -~äß]{6,40}", 1..6),
            words in prop::collection::vec("[ -~]{0,8}", 1..12),
        ) {
            let secrets: Vec<String> = secrets.into_iter().collect();
            // One that is part of another is replaced within it; that is not what is asked here.
            let apart = secrets.iter().enumerate().all(|(i, one)| secrets.iter().enumerate()
                .all(|(j, other)| i == j || !escape(&escape(other)).contains(one.as_str())));
            prop_assume!(apart);
            let mut bodies = Vec::new();
            for (index, word) in words.iter().enumerate() {
                let secret = &secrets[index % secrets.len()];
                bodies.push(format!("{word}{secret}{word}"));
                bodies.push(json!({ "a": secret }).to_string());
                bodies.push(json!({ "a": json!({ "b": secret }).to_string() }).to_string());
            }
            let known: Vec<_> = secrets.iter().map(|s| (Kind::Token, s.as_str())).collect();
            let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
            let shown = redacted(&texts, &known);
            for text in &shown {
                for secret in &secrets {
                    // What is left may only be what marks and words make together.
                    let kept = text.contains(secret.as_str());
                    prop_assert!(!kept || words.iter().any(|w| w.contains(secret.as_str()))
                        || "«token-1»".contains(secret.as_str()), "{secret:?} in {text:?}");
                }
            }
            for (index, _) in words.iter().enumerate() {
                let number = index % secrets.len() + 1;
                let mark = format!("«token-{number}»");
                prop_assert!(shown[index * 3 + 1].contains(&mark));
            }
        }
    }
}
