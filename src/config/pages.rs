//! `[pages]`: how the pages for people look.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// How the pages look.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// `pages.brand_color`; see [`Self::brand_color`].
    pub brand_color: String,
    /// `pages.logo`; see [`Self::logo`].
    pub logo: PathBuf,
}

impl Pages {
    /// Red, green and blue of `pages.brand_color`; `None` when it is no color.
    pub fn brand_color(&self) -> Option<[u8; 3]> {
        let digits = self.brand_color.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
        let channel = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        Some([channel(0)?, channel(2)?, channel(4)?])
    }

    /// The file of `pages.logo`, if there is one.
    pub fn logo(&self) -> Option<&Path> {
        (!self.logo.as_os_str().is_empty()).then_some(self.logo.as_path())
    }
}
