//! How a page is looked at: on which screen, in which colours and language, with scripts or without.

/// Who looks, and with what. The default is a wide window in light colours, in English, with scripts.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// CSS pixels.
    pub(crate) width: u32,
    /// CSS pixels.
    pub(crate) height: u32,
    /// Pixels of the screen in one CSS pixel.
    pub(crate) scale: f64,
    pub(crate) scheme: Scheme,
    /// What is sent as `Accept-Language`, such as `de-CH,de;q=0.9`.
    pub(crate) language: &'static str,
    /// Whether scripts of the page run.
    pub(crate) scripts: bool,
}

/// The colours that somebody prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

impl Scheme {
    pub(crate) const BOTH: [Self; 2] = [Self::Light, Self::Dark];

    /// As `prefers-color-scheme` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

impl Default for Look {
    fn default() -> Self {
        Self { width: 1280, height: 900, scale: 1.0, scheme: Scheme::Light, language: "en", scripts: true }
    }
}

impl Look {
    /// A phone, upright.
    pub(crate) fn phone() -> Self {
        Self { width: 360, height: 740, scale: 2.0, ..Self::default() }
    }

    /// The same without scripts.
    pub(crate) fn without_scripts(self) -> Self {
        Self { scripts: false, ..self }
    }

    /// The same in dark colours.
    pub(crate) fn dark(self) -> Self {
        Self { scheme: Scheme::Dark, ..self }
    }

    /// The same by somebody who prefers these languages.
    pub(crate) fn in_language(self, language: &'static str) -> Self {
        Self { language, ..self }
    }
}
