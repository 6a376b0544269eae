//! Content codings: gzip, br and zstd, as the client accepts them. Short answers are not compressed; long ones are compressed on
//! another thread, so that no other request waits for it.

use std::io::Write;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web,
};
use bytes::Bytes;

use super::Problem;

/// Answers below this many bytes are not compressed: the saving is less than a packet.
pub(in crate::http) const BYTES_MIN: usize = 1024;
/// Answers below this many bytes are compressed on the worker's thread: handing them over and back would take longer.
const BYTES_HERE: usize = 16 * 1024;
/// Codings in the order of preference among those of equal quality to the client: at equal effort zstd saves the most.
const ALL: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];
/// Compression levels, each about as fast as the network.
const GZIP_LEVEL: u32 = 4;
const BROTLI_QUALITY: u32 = 4;
/// A window of 1 MiB, which each stream keeps in memory.
const BROTLI_WINDOW_BITS: u32 = 20;
const BROTLI_BUFFER_BYTES: usize = 4096;
const ZSTD_LEVEL: i32 = 3;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::http) enum Coding {
    Gzip,
    Brotli,
    Zstd,
}

impl Coding {
    /// The name of the coding in headers.
    pub(in crate::http) fn token(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    pub(in crate::http) fn named(token: &str) -> Option<Self> {
        ALL.into_iter().find(|coding| coding.token() == token)
    }

    /// The client's preferred coding (RFC 9110, section 12.5.3); none if it prefers the answer uncompressed.
    pub(in crate::http) fn accepted(request: &HttpRequest) -> Option<Self> {
        let fields = request.headers().get_all(header::ACCEPT_ENCODING);
        let fields: Vec<&str> = fields.filter_map(|field| field.to_str().ok()).collect();
        if fields.is_empty() {
            return None;
        }
        let quality = |token: &str| {
            fields.iter().flat_map(|field| field.split(',')).find_map(|part| {
                let mut params = part.split(';').map(str::trim);
                let name = params.next()?;
                if !name.eq_ignore_ascii_case(token) {
                    return None;
                }
                let quality = params.find_map(|param| param.strip_prefix("q=").or_else(|| param.strip_prefix("Q=")));
                Some(quality.map_or(1.0, |quality| quality.parse::<f32>().unwrap_or(0.0)))
            })
        };
        let any = quality("*");
        let as_it_is = quality("identity");
        let liked = ALL.into_iter().filter_map(|coding| {
            let quality =
                quality(coding.token()).or_else(|| if coding == Self::Gzip { quality("x-gzip") } else { None });
            Some((coding, quality.or(any)?)).filter(|(_, quality)| *quality > 0.0)
        });
        let best = liked.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        // An uncompressed answer is preferred only if the client gives `identity` a higher quality.
        as_it_is.is_none_or(|quality| best.1 >= quality).then_some(best.0)
    }

    fn field(self) -> HeaderValue {
        HeaderValue::from_static(self.token())
    }
}

/// Sets `Content-Encoding`.
pub(in crate::http) fn coded(response: &mut HttpResponse, coding: Coding) {
    response.headers_mut().insert(header::CONTENT_ENCODING, coding.field());
}

/// Compresses the body with the wanted coding if it is long enough; returns the coding used, too.
pub(in crate::http) async fn encoded(body: Bytes, wanted: Option<Coding>) -> Result<(Bytes, Option<Coding>), Problem> {
    let Some(coding) = wanted.filter(|_| body.len() >= BYTES_MIN) else { return Ok((body, None)) };
    let is_short = body.len() < BYTES_HERE;
    let compress = move || -> std::io::Result<Vec<u8>> {
        let mut encoder = Encoder::new(coding)?;
        let mut out = encoder.write(&body)?;
        out.extend(encoder.finish()?);
        Ok(out)
    };
    let body = if is_short { compress() } else { web::block(compress).await.map_err(Problem::internal)? };
    Ok((Bytes::from(body.map_err(Problem::internal)?), Some(coding)))
}

/// Compresses a stream piece by piece.
pub(in crate::http) enum Encoder {
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    pub(in crate::http) fn new(coding: Coding) -> std::io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Self::Gzip(Box::new(flate2::write::GzEncoder::new(Vec::new(), level)))
            }
            Coding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER_BYTES,
                BROTLI_QUALITY,
                BROTLI_WINDOW_BITS,
            ))),
            Coding::Zstd => Self::Zstd(Box::new(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?)),
        })
    }

    /// Compresses the next piece; returns the compressed bytes that are ready, possibly none.
    pub(in crate::http) fn write(&mut self, piece: &[u8]) -> std::io::Result<Vec<u8>> {
        let out = match self {
            Self::Gzip(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
            Self::Brotli(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
            Self::Zstd(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(out))
    }

    /// Returns the rest of the compressed stream.
    pub(in crate::http) fn finish(self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_coding_is_the_one_that_is_liked_best() {
        let cases: [(&str, Option<Coding>); 12] = [
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip, deflate, br", Some(Coding::Brotli)),
            ("gzip", Some(Coding::Gzip)),
            ("GZIP", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("deflate", None),
            ("", None),
            ("identity", None),
            ("gzip;q=1.0, br;q=0.5", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("zstd;q=0, *;q=0.1", Some(Coding::Brotli)),
            ("gzip;q=0.5, identity", None),
        ];
        for (field, expected) in cases {
            let request = TestRequest::default().insert_header((header::ACCEPT_ENCODING, field)).to_http_request();
            assert_eq!(Coding::accepted(&request), expected, "{field}");
        }
        assert_eq!(Coding::accepted(&TestRequest::default().to_http_request()), None);
    }

    #[test]
    fn what_is_compressed_in_pieces_is_whole_again() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|n| format!("{},", n % 977).into_bytes()).collect();
        for coding in ALL {
            let mut encoder = Encoder::new(coding).unwrap();
            let mut out = Vec::new();
            for piece in text.chunks(65_536) {
                out.extend(encoder.write(piece).unwrap());
            }
            out.extend(encoder.finish().unwrap());
            assert!(out.len() < text.len() / 2, "{coding:?}");
            let mut back = Vec::new();
            match coding {
                Coding::Gzip => {
                    std::io::copy(&mut flate2::read::GzDecoder::new(out.as_slice()), &mut back).unwrap();
                }
                Coding::Brotli => {
                    std::io::copy(&mut brotli::Decompressor::new(out.as_slice(), 4096), &mut back).unwrap();
                }
                Coding::Zstd => {
                    std::io::copy(&mut zstd::stream::read::Decoder::new(out.as_slice()).unwrap(), &mut back).unwrap();
                }
            }
            assert!(back == text, "{coding:?}");
        }
    }
}
