//! Pictures of what is shown, for whoever looks into a story: `PERMITD_TEST_PICTURES=FOLDER`.

use std::path::Path;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use super::page::{Browser, pictures_folder};

/// Highest picture of a page, CSS pixels.
const HEIGHT_MAX: f64 = 10_000.0;

impl Browser {
    /// Keeps a picture of the whole page, where somebody wants to see it.
    pub(crate) fn picture(&mut self, name: &str) {
        let Some(folder) = pictures_folder() else { return };
        self.pictures += 1;
        let file = folder.join(format!("{:02}-{name}.png", self.pictures));
        self.picture_to(&file, HEIGHT_MAX);
    }

    /// Writes a picture of the whole page, down to a height in CSS pixels.
    pub(crate) fn picture_to(&mut self, file: &Path, height_max: f64) {
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].take();
        let (width, height) = (f64::from(self.look.width), size["height"].as_f64().unwrap().min(height_max));
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let asked = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let taken = self.call("Page.captureScreenshot", asked);
        let bytes = BASE64_STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
}
