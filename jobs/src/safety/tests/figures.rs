//! The pictures of the curves.

use strum::VariantArray as _;

use super::*;
use crate::safety::figure::svg;

#[test]
fn safety_each_preset_has_a_picture_of_its_three_curves() {
    for preset in Preset::VARIANTS {
        let picture = svg(&policy(*preset));
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert_eq!(picture.matches("<polyline ").count(), 3);
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
        assert!(picture.contains(&format!("Gaps of the preset {preset}")));
        assert_eq!(svg(&policy(*preset)), picture);
        assert!(picture.len() < 12_000, "{} bytes", picture.len());
    }
    assert!(svg(&policy(Preset::Default)).contains("cold: 30 to 180 s"));
}
