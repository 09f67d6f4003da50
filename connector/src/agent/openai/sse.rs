//! Server-sent events (WHATWG HTML, 9.2), read from whatever pieces the network makes of them. Pure.

/// Reads the `data` of events.
#[derive(Debug, Default)]
pub(super) struct SseReader {
    /// The beginning of a line.
    line: Vec<u8>,
    /// Lines of `data` of the event so far.
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a carriage return, which a line feed may complete.
    after_return: bool,
}

/// An event is larger than any model writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventTooLarge;

/// Bytes of one event at most.
const LARGEST: usize = 4 << 20;

impl SseReader {
    /// Takes a piece; returns the data of each event that is complete with it.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<String>, EventTooLarge> {
        let mut events = Vec::new();
        let mut rest = piece;
        if std::mem::take(&mut self.after_return) {
            if rest.is_empty() {
                self.after_return = true;
            }
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.extend_from_slice(&rest[..end]);
            let returned = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if returned {
                self.after_return = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            events.extend(self.line_ended());
            self.check()?;
        }
        self.line.extend_from_slice(rest);
        self.check()?;
        Ok(events)
    }

    /// Nothing follows: returns an event that was left open, as servers that end at once leave it.
    pub(super) fn end(mut self) -> Option<String> {
        if !self.line.is_empty() {
            self.line_ended();
        }
        self.line_ended()
    }

    fn check(&self) -> Result<(), EventTooLarge> {
        if self.line.len() + self.data.len() > LARGEST { Err(EventTooLarge) } else { Ok(()) }
    }

    fn line_ended(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            let text = || String::from_utf8_lossy(&data).into_owned();
            return std::mem::take(&mut self.has_data).then(text);
        }
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        // Comments and other fields mean nothing here.
        let value = if line == b"data" { Some(&b""[..]) } else { line.strip_prefix(b"data:") };
        if let Some(value) = value {
            if std::mem::replace(&mut self.has_data, true) {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut reader = SseReader::default();
        let mut events: Vec<String> =
            pieces.iter().flat_map(|piece| reader.push(piece).unwrap()).collect();
        events.extend(reader.end());
        events
    }

    #[test]
    fn events_are_their_data() {
        for (stream, expected) in [
            ("data: a\n\ndata: b\n\n", &["a", "b"][..]),
            ("data:a\r\n\r\ndata: b\r\rdata:  c\n\n", &["a", "b", " c"]),
            (": ping\n\n\n\nevent: x\nid: 1\ndata: a\n\n", &["a"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            ("data\n\ndata:\n\n", &["", ""]),
            ("data: [DONE]", &["[DONE]"]),
            ("data: a\n", &["a"]),
            ("\u{feff}data: 你好\n\n", &["你好"]),
            ("dataset: a\n\n", &[]),
        ] {
            assert_eq!(read(&[stream.as_bytes()]), expected, "{stream:?}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut reader = SseReader::default();
        let piece = vec![b'x'; LARGEST / 2 + 1];
        assert!(reader.push(&piece).is_ok());
        assert_eq!(reader.push(&piece), Err(EventTooLarge));
    }

    proptest! {
        #[test]
        fn where_the_network_cuts_makes_no_difference(
            texts in proptest::collection::vec("[ -~你好🙂é]{0,12}", 0..12),
            ends in proptest::collection::vec(0..3_usize, 12),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut stream = Vec::new();
            for (text, end) in texts.iter().zip(&ends) {
                let end = ["\n", "\r\n", "\r"][*end];
                stream.extend_from_slice(format!(": c{end}data: {text}{end}{end}").as_bytes());
            }
            let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for end in at.into_iter().chain([stream.len()]) {
                pieces.push(&stream[start..end]);
                start = end;
            }
            prop_assert_eq!(read(&pieces), texts);
        }
    }
}
