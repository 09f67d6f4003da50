//! Where the parts of JSON5 stand in a text. What is no JSON5 is not found out here.

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Object(Object),
    /// Anything else, from and to which byte.
    Other((usize, usize)),
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// Where its `{` is.
    pub(super) open: usize,
    /// Where its `}` is.
    pub(super) close: usize,
    pub(super) members: Vec<Member>,
}

/// `key: value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) key: String,
    /// Where the key begins.
    pub(super) start: usize,
    pub(super) value: Node,
    /// Where the comma behind it is.
    pub(super) comma: Option<usize>,
}

impl Node {
    pub(super) fn span(&self) -> (usize, usize) {
        match self {
            Self::Object(object) => (object.open, object.close + 1),
            Self::Other(span) => *span,
        }
    }

    pub(super) fn is_null(&self, text: &str) -> bool {
        matches!(self, Self::Other((start, end)) if &text[*start..*end] == "null")
    }
}

impl Object {
    /// The member of this name that counts.
    pub(super) fn last(&self, key: &str) -> Option<&Member> {
        self.members.iter().rev().find(|member| member.key == key)
    }
}

/// The value that a text is. `None` where it is none.
pub(super) fn scan(text: &str) -> Option<Node> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.space();
    scanner.value()
}

/// Bytes that are left of a line, which may hold blanks and comments only; 0 where more stands in it.
pub(super) fn rest_of_line(text: &str) -> usize {
    let line = text.find(['\r', '\n']).unwrap_or(text.len());
    let mut scanner = Scanner { text: &text[..line], at: 0 };
    scanner.space();
    if scanner.at == line { line } else { 0 }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Skips blanks and comments.
    fn space(&mut self) {
        loop {
            let rest = self.rest();
            let blanks = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            self.at += rest.len() - blanks.len();
            let rest = self.rest();
            if rest.starts_with("//") {
                let ends = |c: char| matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}');
                self.at += rest.find(ends).unwrap_or(rest.len());
            } else if let Some(inner) = rest.strip_prefix("/*")
                && let Some(end) = inner.find("*/")
            {
                self.at += end + 4;
            } else {
                return;
            }
        }
    }

    fn value(&mut self) -> Option<Node> {
        let start = self.at;
        match self.peek()? {
            '{' => return self.object().map(Node::Object),
            '[' => {
                self.at += 1;
                self.space();
                while self.peek()? != ']' {
                    self.value()?;
                    self.space();
                    self.comma();
                    self.space();
                }
                self.at += 1;
            }
            '"' | '\'' => self.quoted()?,
            _ => self.word()?,
        }
        Some(Node::Other((start, self.at)))
    }

    fn object(&mut self) -> Option<Object> {
        let open = self.at;
        self.at += 1;
        self.space();
        let mut members = Vec::new();
        while self.peek()? != '}' {
            let start = self.at;
            match self.peek()? {
                '"' | '\'' => self.quoted()?,
                _ => self.word()?,
            }
            let key = key(&self.text[start..self.at])?;
            self.space();
            self.rest().strip_prefix(':')?;
            self.at += 1;
            self.space();
            let value = self.value()?;
            self.space();
            let comma = self.comma();
            self.space();
            members.push(Member { key, start, value, comma });
        }
        let close = self.at;
        self.at += 1;
        Some(Object { open, close, members })
    }

    fn comma(&mut self) -> Option<usize> {
        let at = self.at;
        self.rest().starts_with(',').then(|| {
            self.at += 1;
            at
        })
    }

    fn quoted(&mut self) -> Option<()> {
        let mut chars = self.rest().char_indices();
        let (_, quote) = chars.next()?;
        while let Some((n, c)) = chars.next() {
            if c == '\\' {
                chars.next();
            } else if c == quote {
                self.at += n + 1;
                return Some(());
            }
        }
        None
    }

    /// A number, a name, `true` and so on.
    fn word(&mut self) -> Option<()> {
        let ends = |c: char| c.is_whitespace() || ",:]}{[/\"'\u{feff}".contains(c);
        let length = self.rest().find(ends).unwrap_or(self.rest().len());
        self.at += length;
        (length > 0).then_some(())
    }
}

/// What a key is called, in quotes or without them.
fn key(text: &str) -> Option<String> {
    let whole: serde_json::Map<String, serde_json::Value> =
        json5::from_str(&format!("{{{text}:0}}")).ok()?;
    whole.into_iter().next().map(|(key, _)| key)
}
