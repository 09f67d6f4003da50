//! The body of an answer: events, or all of it at once, by how it begins. Some servers stream nothing,
//! whatever they are asked for, and some name the wrong type. Pure.

use super::completion::{Problem, Reader};
use super::sse::SseReader;

/// What has come of a body.
#[derive(Debug, Default)]
pub(super) enum Body {
    /// Nothing that tells.
    #[default]
    Blank,
    Events(SseReader),
    Whole(Vec<u8>),
}

/// Bytes of a body that is not streamed at most.
const LARGEST: usize = 4 << 20;

impl Body {
    /// Takes a piece; what is complete with it goes to the reader.
    pub(super) fn push(&mut self, piece: &[u8], reader: &mut Reader) -> Result<(), Problem> {
        if matches!(self, Self::Blank) {
            *self = match piece.iter().find(|byte| !byte.is_ascii_whitespace()) {
                None => return Ok(()),
                Some(b'{') => Self::Whole(Vec::new()),
                Some(b'<') => return Err(Problem::Odd("a web page".to_owned())),
                Some(_) => Self::Events(SseReader::default()),
            };
        }
        match self {
            Self::Blank => {}
            Self::Events(events) => {
                let complete = events.push(piece);
                let complete =
                    complete.map_err(|_| Problem::Odd("an event without end".to_owned()))?;
                complete.iter().try_for_each(|event| reader.event(event))?;
            }
            Self::Whole(body) => {
                if body.len() + piece.len() > LARGEST {
                    return Err(Problem::Odd(format!("a body of more than {LARGEST} bytes")));
                }
                body.extend_from_slice(piece);
            }
        }
        Ok(())
    }

    /// Nothing follows.
    pub(super) fn end(self, reader: &mut Reader) -> Result<(), Problem> {
        match self {
            Self::Events(events) if !reader.is_done() => {
                events.end().map_or(Ok(()), |event| reader.event(&event))
            }
            Self::Whole(body) => reader.whole(&body),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<String, Problem> {
        let (mut body, mut reader) = (Body::default(), Reader::default());
        pieces.iter().try_for_each(|piece| body.push(piece, &mut reader))?;
        body.end(&mut reader)?;
        Ok(reader.end()?.text)
    }

    #[test]
    fn how_it_begins_says_what_it_is() {
        let whole = br#"{"choices":[{"message":{"content":"yes"}}]}"#;
        let event = b"data: {\"choices\":[{\"delta\":{\"content\":\"yes\"}}]}";
        for pieces in [
            &[&whole[..]][..],
            &[b"\n ", &whole[..9], &whole[9..]],
            &[event],
            &[b"\r\n", b": wait\n", &event[..9], &event[9..], b"\n\n"],
            &[b"\xef\xbb\xbf", event],
        ] {
            assert_eq!(read(pieces).as_deref(), Ok("yes"), "{pieces:?}");
        }
        assert_eq!(read(&[b" <html>"]), Err(Problem::Odd("a web page".to_owned())));
        let large = vec![b'{'; LARGEST + 1];
        assert!(matches!(read(&[&large]), Err(Problem::Odd(_))));
        assert!(matches!(read(&[b" "]), Err(Problem::Empty { .. })));
    }
}
