//! Frames that no library would write by itself.

use std::sync::Arc;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::core::BadFrame;

const TEXT: OpCode = OpCode::Data(Data::Text);
const CONTINUE: OpCode = OpCode::Data(Data::Continue);

/// A text message in so many fragments, with a ping after the first (RFC 6455, 5.4). Where it has
/// fewer bytes than that, the last fragments are empty. A fragment may end within a character.
pub(super) fn fragments(text: &Arc<str>, pieces: u32) -> Vec<Message> {
    let mut rest = Bytes::copy_from_slice(text.as_bytes());
    let pieces = usize::try_from(pieces).unwrap_or(usize::MAX).max(1);
    let size = rest.len().div_ceil(pieces);
    let mut frames = Vec::new();
    for number in 1..=pieces {
        let piece = rest.split_to(size.min(rest.len()));
        let opcode = if number == 1 { TEXT } else { CONTINUE };
        frames.push(Frame::message(piece, opcode, number == pieces));
        if number == 1 {
            frames.push(Frame::ping("between fragments"));
        }
    }
    frames.into_iter().map(Message::Frame).collect()
}

/// A text message in a way that a client must not take.
pub(super) fn bad(text: &Arc<str>, how: BadFrame) -> Vec<Message> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let whole = Frame::message(bytes.clone(), TEXT, true);
    let changed = |change: &dyn Fn(&mut Frame)| {
        let mut frame = whole.clone();
        change(&mut frame);
        vec![frame]
    };
    let frames = match how {
        BadFrame::ReservedBits => changed(&|frame| frame.header_mut().rsv1 = true),
        BadFrame::Opcode => {
            changed(&|frame| frame.header_mut().opcode = OpCode::Data(Data::Reserved(3)))
        }
        BadFrame::Masked => changed(&|frame| frame.header_mut().mask = Some(*b"mask")),
        BadFrame::Continuation => changed(&|frame| frame.header_mut().opcode = CONTINUE),
        BadFrame::Interleaved => vec![Frame::message("{", TEXT, false), whole],
        BadFrame::FragmentedPing => {
            let mut ping = Frame::ping("half");
            ping.header_mut().is_final = false;
            vec![ping, whole]
        }
        BadFrame::LongPing => vec![Frame::ping(vec![b'x'; 126]), whole],
        BadFrame::Utf8 => {
            let text = [&bytes[..], &[0xff]].concat();
            vec![Frame::message(text, TEXT, true)]
        }
    };
    frames.into_iter().map(Message::Frame).collect()
}
