//! Small files of common kinds, made here, so that a test needs none of its own.

use std::fmt::Write as _;

use crate::core::Media;

/// A kind of file that the mock can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// One transparent pixel.
    Png,
    /// One pixel.
    Gif,
    /// A tenth of a second of silence, 8 kHz, 8 bit, mono.
    Wav,
    /// A tenth of a second of silence in AMR narrow band frames, as voice messages have.
    Amr,
    /// The boxes of an MP4 file with a movie header and no track.
    Mp4,
    /// One empty page.
    Pdf,
    /// One line of text.
    Txt,
}

impl Sample {
    /// Each kind with its name in the control API.
    pub(crate) const NAMES: [(&'static str, Self); 7] = [
        ("png", Self::Png),
        ("gif", Self::Gif),
        ("wav", Self::Wav),
        ("amr", Self::Amr),
        ("mp4", Self::Mp4),
        ("pdf", Self::Pdf),
        ("txt", Self::Txt),
    ];

    /// The file. The same bytes each time.
    pub fn media(self) -> Media {
        let (name, mime_type, bytes) = match self {
            Self::Png => ("sample.png", "image/png", PNG.to_vec()),
            Self::Gif => ("sample.gif", "image/gif", GIF.to_vec()),
            Self::Wav => ("sample.wav", "audio/wav", wav()),
            Self::Amr => ("sample.amr", "audio/amr", amr()),
            Self::Mp4 => ("sample.mp4", "video/mp4", mp4()),
            Self::Pdf => ("sample.pdf", "application/pdf", pdf()),
            Self::Txt => ("sample.txt", "text/plain", b"a line of text\n".to_vec()),
        };
        Media::new(name, mime_type, bytes)
    }
}

/// Signature, header of 1x1 RGBA, one compressed line, end; each chunk with its CRC.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0,
    0x01, 0, 0, 0, 0x01, 0x08, 0x06, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0b, 0x49, 0x44,
    0x41, 0x54, 0x78, 0xda, 0x63, 0x60, 0, 0x02, 0, 0, 0x05, 0, 0x01, 0xe9, 0xfa, 0xdc, 0xd8, 0, 0,
    0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// Header, two colours, one pixel, end.
const GIF: &[u8] = &[
    b'G', b'I', b'F', b'8', b'9', b'a', 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x2c, 0,
    0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3b,
];

fn wav() -> Vec<u8> {
    let silence = [0x80_u8; 800];
    let mut file = Vec::new();
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + 800_u32).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    for half in [1_u16, 1] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    for word in [8_000_u32, 8_000] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for half in [1_u16, 8] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&800_u32.to_le_bytes());
    file.extend_from_slice(&silence);
    file
}

/// Five frames of "no data" (type 15), 20 ms each.
fn amr() -> Vec<u8> {
    let mut file = b"#!AMR\n".to_vec();
    file.extend_from_slice(&[0x7c; 5]);
    file
}

fn mp4() -> Vec<u8> {
    fn sized(name: [u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).expect("the boxes made here are small");
        let mut made = size.to_be_bytes().to_vec();
        made.extend_from_slice(&name);
        made.extend_from_slice(content);
        made
    }
    let mut header = vec![0; 100];
    header[15] = 1; // one unit a second
    header[20..24].copy_from_slice(&0x0001_0000_u32.to_be_bytes()); // normal speed
    header[24] = 1; // full volume
    header[99] = 1; // the next track's number
    let mut file = sized(*b"ftyp", b"isom\0\0\x02\0isommp41");
    file.extend(sized(*b"moov", &sized(*b"mvhd", &header)));
    file
}

fn pdf() -> Vec<u8> {
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>",
    ];
    let mut file = "%PDF-1.4\n".to_owned();
    let mut table = String::from("xref\n0 4\n0000000000 65535 f \n");
    for (index, object) in objects.iter().enumerate() {
        let _ = writeln!(table, "{:010} 00000 n ", file.len());
        let _ = writeln!(file, "{} 0 obj{object}endobj", index + 1);
    }
    let start = file.len();
    file.push_str(&table);
    let _ = writeln!(file, "trailer<</Size 4/Root 1 0 R>>\nstartxref\n{start}\n%%EOF");
    file.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn each_sample_has_the_marks_of_its_kind() {
        let starts: [(Sample, &[u8]); 7] = [
            (Sample::Png, b"\x89PNG\r\n\x1a\n"),
            (Sample::Gif, b"GIF89a"),
            (Sample::Wav, b"RIFF"),
            (Sample::Amr, b"#!AMR\n"),
            (Sample::Mp4, b"\0\0\0\x18ftypisom"),
            (Sample::Pdf, b"%PDF-1.4"),
            (Sample::Txt, b"a line"),
        ];
        for (sample, start) in starts {
            let media = sample.media();
            assert!(media.bytes.starts_with(start), "{sample:?}: {:?}", media.bytes);
            assert!(media.name.starts_with("sample."));
            assert_eq!(media, sample.media());
        }
        let wav = Sample::Wav.media().bytes;
        assert_eq!(u32::from_le_bytes(wav[4..8].try_into().unwrap()) as usize, wav.len() - 8);
        let pdf = String::from_utf8(Sample::Pdf.media().bytes.to_vec()).unwrap();
        let start: usize = pdf.lines().rev().nth(1).unwrap().parse().unwrap();
        assert!(pdf[start..].starts_with("xref"));
    }

    #[test]
    fn the_picture_has_right_checksums() {
        // CRC-32 as PNG defines it, bit by bit.
        fn crc(bytes: &[u8]) -> u32 {
            !bytes.iter().fold(!0_u32, |sum, byte| {
                (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
                    (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
                })
            })
        }
        let png = Sample::Png.media().bytes;
        let mut rest = &png[8..];
        let mut names = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            let (chunk, tail) = rest[4..].split_at(4 + length);
            assert_eq!(u32::from_be_bytes(tail[..4].try_into().unwrap()), crc(chunk));
            names.push(String::from_utf8_lossy(&chunk[..4]).into_owned());
            rest = &tail[4..];
        }
        assert_eq!(names, ["IHDR", "IDAT", "IEND"]);
    }
}
