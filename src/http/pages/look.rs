//! The look of a server's pages: its color and its logo, written before the style that all servers have.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use super::{
    content::{SCRIPT, STYLE},
    packed_file::PackedFile,
};
use crate::{config::pages::Pages, domain::id::hex};

/// The largest logo, bytes: it becomes a part of the style.
const LOGO_BYTES_MAX: u64 = 24 * 1024;
/// The least contrast of a text with its background (WCAG 2.2, 1.4.3).
const CONTRAST_MIN: f64 = 4.5;
/// The backgrounds of text on a light and on a dark page, as in `style.css`.
const LIGHT: [u8; 3] = [0xf6, 0xf7, 0xf9];
const DARK: [u8; 3] = [0x1d, 0x21, 0x27];

/// The look of a server's pages.
#[derive(Debug, Clone)]
pub struct Look {
    /// The folder in the files' addresses, which changes with the content of the files.
    pub(super) folder: String,
    /// Whether the style holds a logo.
    pub(super) has_logo: bool,
    pub(super) style: Arc<PackedFile>,
}

impl Look {
    /// Reads the logo, if there is one.
    ///
    /// # Errors
    /// A sentence: when the logo cannot be read, is too large, or is neither PNG nor SVG.
    pub fn open(settings: &Pages) -> Result<Self, String> {
        let color = settings.brand_color().unwrap_or_default();
        let logo = settings.logo().map(logo).transpose()?;
        let mut style = colors(color);
        if let Some(logo) = &logo {
            style.push_str(&format!(".brand{{--logo:url(\"{logo}\")}}\n"));
        }
        style.push_str(STYLE);
        let hash = Sha256::new().chain_update(&style).chain_update(SCRIPT).finalize();
        let folder = hex(hash.as_slice().get(..8).unwrap_or_default());
        Ok(Self { folder, has_logo: logo.is_some(), style: Arc::new(PackedFile::new(style)) })
    }
}

/// A logo as a `data:` address.
fn logo(path: &Path) -> Result<String, String> {
    let failed = |reason: String| format!("the logo {} (pages.logo) cannot be used: {reason}", path.display());
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(LOGO_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > LOGO_BYTES_MAX {
        return Err(failed(format!("it has more than {LOGO_BYTES_MAX} bytes")));
    }
    let is_png = bytes.starts_with(b"\x89PNG\r\n\x1a\n");
    let is_svg = str::from_utf8(&bytes).is_ok_and(|text| text.contains("<svg"));
    let media_type = match (is_png, is_svg) {
        (true, _) => "image/png",
        (false, true) => "image/svg+xml",
        (false, false) => return Err(failed("it is neither PNG nor SVG".to_owned())),
    };
    // Browsers draw a picture in a style, and run no script in it.
    Ok(format!("data:{media_type};base64,{}", BASE64_STANDARD.encode(bytes)))
}

/// The style's colors: the brand's, that of text on it, and that of links on a light and on a dark page.
fn colors(color: [u8; 3]) -> String {
    let on = if contrast(color, [255; 3]) >= contrast(color, [0; 3]) { "#fff" } else { "#000" };
    let (light, dark) = (readable(color, LIGHT, 0), readable(color, DARK, 255));
    format!(
        ":root{{--brand:{};--on-brand:{on};--link:{}}}\n@media(prefers-color-scheme:dark){{:root{{--link:{}}}}}\n",
        written(color),
        written(light),
        written(dark)
    )
}

fn written([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The color, moved towards black or white until it is readable on its background.
fn readable(color: [u8; 3], behind: [u8; 3], towards: u8) -> [u8; 3] {
    let moved = |step: u16| {
        color.map(|channel| {
            let (from, to) = (u16::from(channel) * (20 - step), u16::from(towards) * step);
            u8::try_from((from + to) / 20).unwrap_or(towards)
        })
    };
    (0..=20).map(moved).find(|color| contrast(*color, behind) >= CONTRAST_MIN).unwrap_or([towards; 3])
}

/// The contrast of two colors (WCAG 2.2, "contrast ratio").
fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// The relative luminance of a color (WCAG 2.2, "relative luminance").
fn luminance(color: [u8; 3]) -> f64 {
    let [red, green, blue] = color.map(|channel| {
        let part = f64::from(channel) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_in_the_brands_color_can_be_read(color: [u8; 3]) {
            prop_assert!(contrast(readable(color, LIGHT, 0), LIGHT) >= CONTRAST_MIN);
            prop_assert!(contrast(readable(color, DARK, 255), DARK) >= CONTRAST_MIN);
            prop_assert!(contrast(color, [255; 3]).max(contrast(color, [0; 3])) >= CONTRAST_MIN);
        }
    }

    #[test]
    fn a_logo_is_a_small_picture() {
        let folder = tempfile::tempdir().unwrap();
        let opened = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            Look::open(&Pages { brand_color: "#0b57d0".to_owned(), logo: path })
        };
        let look = opened("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
        assert!(str::from_utf8(look.style.plain()).unwrap().contains("data:image/svg+xml"));
        assert!(opened("b.png", b"<html>").unwrap_err().contains("neither PNG nor SVG"));
        assert!(opened("c.svg", &vec![b' '; 30_000]).unwrap_err().contains("more than"));
    }
}
