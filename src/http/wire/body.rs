//! Where a request's body ends (RFC 9112, sections 6 and 7).

use super::request_line::is_token;

/// Hexadecimal digits of a chunk's size: 256 TiB, and no overflow.
const SIZE_DIGITS_MAX: u32 = 12;
/// Bytes of a chunk's extension, and of all trailer fields.
const LINE_BYTES_MAX: u32 = 4096;

/// The rest of a body that is still to come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing.
    #[default]
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
}

/// The position in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the digits of a size.
    Size {
        size: u64,
        digits: u32,
    },
    /// After the digits.
    Extension {
        size: u64,
        bytes: u32,
    },
    /// Before the line feed of the size's line.
    SizeLf {
        size: u64,
    },
    /// In the data.
    Data(u64),
    /// Before the carriage return after the data.
    DataCr,
    DataLf,
    /// At the beginning of a trailer line, after the last chunk.
    Trailer {
        bytes: u32,
    },
    /// Within the name of a trailer field.
    TrailerName {
        bytes: u32,
    },
    /// After the colon of a trailer field.
    TrailerLine {
        bytes: u32,
    },
    TrailerLf {
        bytes: u32,
    },
    EndLf,
}

/// A fault of a body, and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyFault {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

impl Body {
    pub(super) fn of_length(bytes: u64) -> Self {
        if bytes == 0 { Self::None } else { Self::Length(bytes) }
    }

    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunk::Size { size: 0, digits: 0 })
    }

    /// How many of the next bytes belong to the body.
    ///
    /// # Errors
    /// When the chunks are malformed.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, BodyFault> {
        match self {
            Self::None => Ok(0),
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *self = Self::of_length(left.saturating_sub(taken as u64));
                Ok(taken)
            }
            Self::Chunked(_) => self.take_chunks(bytes),
        }
    }

    fn take_chunks(&mut self, bytes: &[u8]) -> Result<usize, BodyFault> {
        let mut at = 0;
        while let (Self::Chunked(chunk), Some(&byte)) = (*self, bytes.get(at)) {
            if let Chunk::Data(left) = chunk {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                let left = left.saturating_sub(taken as u64);
                *self = Self::Chunked(if left == 0 { Chunk::DataCr } else { Chunk::Data(left) });
                at += taken;
                continue;
            }
            match chunk.next(byte) {
                Ok(Some(next)) => *self = Self::Chunked(next),
                Ok(None) => *self = Self::None,
                Err(what) => return Err(BodyFault { at, what }),
            }
            at += 1;
        }
        Ok(at)
    }
}

impl Chunk {
    /// The position after this byte; `None` after the last byte of the body.
    fn next(self, byte: u8) -> Result<Option<Self>, &'static str> {
        Ok(Some(match (self, byte) {
            (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == SIZE_DIGITS_MAX {
                    return Err("the size of a chunk of the body has more than 12 digits");
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err("a chunk of the body has no size in hexadecimal digits"),
            (Self::Size { size, .. } | Self::Extension { size, .. }, b'\r') => Self::SizeLf { size },
            (Self::Size { size, .. }, b';') => Self::Extension { size, bytes: 0 },
            (Self::Size { .. }, _) => return Err("the size of a chunk of the body is not in hexadecimal digits"),
            (Self::Extension { size, bytes }, b'\t' | b' '..=b'~' | 0x80..) if bytes < LINE_BYTES_MAX => {
                Self::Extension { size, bytes: bytes + 1 }
            }
            (Self::Extension { .. }, _) => return Err("the extension of a chunk of the body is malformed"),
            (Self::SizeLf { size: 0 }, b'\n') => Self::Trailer { bytes: 0 },
            (Self::SizeLf { size }, b'\n') => Self::Data(size),
            (Self::Data(_) | Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::SizeLf { .. } | Self::Data(_) | Self::DataCr | Self::DataLf, _) => {
                return Err("a chunk of the body does not end where its size says");
            }
            (Self::Trailer { .. }, b'\r') => Self::EndLf,
            (Self::TrailerLine { bytes }, b'\r') => Self::TrailerLf { bytes },
            (Self::Trailer { bytes } | Self::TrailerName { bytes }, _) if bytes < LINE_BYTES_MAX && is_token(byte) => {
                Self::TrailerName { bytes: bytes + 1 }
            }
            (Self::TrailerName { bytes }, b':') => Self::TrailerLine { bytes },
            (Self::TrailerLine { bytes }, b'\t' | b' '..=b'~' | 0x80..) if bytes < LINE_BYTES_MAX => {
                Self::TrailerLine { bytes: bytes + 1 }
            }
            (Self::TrailerLf { bytes }, b'\n') => Self::Trailer { bytes },
            (Self::EndLf, b'\n') => return Ok(None),
            (
                Self::Trailer { .. }
                | Self::TrailerName { .. }
                | Self::TrailerLine { .. }
                | Self::TrailerLf { .. }
                | Self::EndLf,
                _,
            ) => {
                return Err("what follows the last chunk of the body is malformed");
            }
        }))
    }
}
