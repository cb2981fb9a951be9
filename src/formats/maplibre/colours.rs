//! The colours of themes, categories and classes. They are told apart by people who see colours
//! otherwise, and lightness alone orders the classes of a ramp, so that they survive a photocopier;
//! the tests hold both.

use crate::model::{Ramp, Theme};

/// The colours of a theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    /// Insides, lines and points.
    pub main: &'static str,
    /// Outlines of polygons: the same hue, darker.
    pub edge: &'static str,
    /// The ramp of classes that name none.
    pub ramp: Ramp,
}

/// The colours of a theme.
pub fn of_theme(theme: Theme) -> Palette {
    let (main, edge, ramp) = match theme {
        Theme::Divers => ("#3f8fd6", "#1f5a91", Ramp::Bleus),
        Theme::Limites => ("#434a57", "#434a57", Ramp::Bleus),
        Theme::Equipements => ("#b93414", "#7d210b", Ramp::Oranges),
        Theme::Programmes => ("#6f2a99", "#4a1a68", Ramp::Violets),
        Theme::Commerces => ("#d653a2", "#97306f", Ramp::Violets),
        Theme::Environnement => ("#1b7460", "#0f4a3d", Ramp::Verts),
        Theme::Transport => ("#a98a12", "#6d590a", Ramp::Oranges),
    };
    Palette { main, edge, ramp }
}

/// What has a value that no category or class speaks of, or none.
pub const REST: &str = "#b8b8b8";

/// Colours of categories that choose none, in their order: those of Okabe and Ito, with a dark
/// blue in the place of black, which is that of texts.
pub const CATEGORIES: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#332288"];

/// `n` colours of a ramp, evenly spread; one alone is its middle.
pub fn of_ramp(ramp: Ramp, n: usize) -> Vec<String> {
    let anchors: Vec<Lab> = anchors(ramp).iter().filter_map(|hex| Lab::of_hex(hex)).collect();
    let last = anchors.len().saturating_sub(1) as f64;
    let at = |share: f64| {
        let place = share * last;
        let (below, above) = (place.floor() as usize, place.ceil() as usize);
        let (a, b) = (anchors.get(below)?, anchors.get(above)?);
        Some(a.towards(b, place.fract()).hex())
    };
    let share = |i: usize| if n == 1 { 0.5 } else { i as f64 / (n - 1) as f64 };
    (0..n).filter_map(|i| at(share(i))).collect()
}

fn anchors(ramp: Ramp) -> &'static [&'static str] {
    match ramp {
        Ramp::Bleus => &["#e8f1fa", "#8dbde0", "#2f7ab8", "#08305f"],
        Ramp::Verts => &["#ebf5e9", "#97cf95", "#2f9150", "#00441b"],
        Ramp::Oranges => &["#fff0df", "#fdb06a", "#d95f0e", "#6b2503"],
        Ramp::Violets => &["#f1eff7", "#b6afd6", "#7a62ae", "#3a0a70"],
        Ramp::Gris => &["#f2f2f2", "#b5b5b5", "#6f6f6f", "#202020"],
        Ramp::BleuRouge => &["#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b"],
        Ramp::VioletOrange => &["#542788", "#b2abd2", "#f7f7f7", "#fdb863", "#b35806"],
    }
}

/// A colour in Oklab (Ottosson 2020), where distances are those that the eye sees.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Lab([f64; 3]);

impl Lab {
    /// Of `#rrggbb`.
    fn of_hex(hex: &str) -> Option<Self> {
        linear(hex).map(Self::of_linear)
    }

    fn of_linear(rgb: [f64; 3]) -> Self {
        let lms = product(
            &[
                [0.412_221_470_8, 0.536_332_536_3, 0.051_445_992_9],
                [0.211_903_498_2, 0.680_699_545_1, 0.107_396_956_6],
                [0.088_302_461_9, 0.281_718_837_6, 0.629_978_700_5],
            ],
            rgb,
        );
        Self(product(
            &[
                [0.210_454_255_3, 0.793_617_785_0, -0.004_072_046_8],
                [1.977_998_495_1, -2.428_592_205_0, 0.450_593_709_9],
                [0.025_904_037_1, 0.782_771_766_2, -0.808_675_766_0],
            ],
            lms.map(f64::cbrt),
        ))
    }

    fn towards(self, other: &Self, share: f64) -> Self {
        let mut mixed = self.0;
        for (a, b) in mixed.iter_mut().zip(other.0) {
            *a += (b - *a) * share;
        }
        Self(mixed)
    }

    fn hex(self) -> String {
        let lms = product(
            &[
                [1.0, 0.396_337_777_4, 0.215_803_757_3],
                [1.0, -0.105_561_345_8, -0.063_854_172_8],
                [1.0, -0.089_484_177_5, -1.291_485_548_0],
            ],
            self.0,
        );
        let rgb = product(
            &[
                [4.076_741_662_1, -3.307_711_591_3, 0.230_969_929_2],
                [-1.268_438_004_6, 2.609_757_401_1, -0.341_319_396_5],
                [-0.004_196_086_3, -0.703_418_614_7, 1.707_614_701_0],
            ],
            lms.map(|c| c.powi(3)),
        );
        let byte = |c: f64| {
            let c = c.clamp(0.0, 1.0);
            let c = if c <= 0.003_130_8 { 12.92 * c } else { 1.055 * c.powf(1.0 / 2.4) - 0.055 };
            (c * 255.0).round() as u8
        };
        let [r, g, b] = rgb.map(byte);
        format!("#{r:02x}{g:02x}{b:02x}")
    }
}

/// The linear light of `#rrggbb` (IEC 61966-2-1), 0 to 1.
fn linear(hex: &str) -> Option<[f64; 3]> {
    let digits = hex.strip_prefix('#').filter(|d| d.len() == 6 && d.is_ascii())?;
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let rgb = [byte(0)?, byte(2)?, byte(4)?].map(|b| f64::from(b) / 255.0);
    Some(rgb.map(|c| if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }))
}

fn product(matrix: &[[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How colours look to people without one kind of cones, linear light (Machado, Oliveira and
    /// Fernandes 2009, severity 1): as they are, protanopia, deuteranopia, tritanopia.
    const EYES: [[[f64; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ];

    fn seen(hex: &str, eye: &[[f64; 3]; 3]) -> Lab {
        Lab::of_linear(product(eye, linear(hex).unwrap()).map(|c| c.clamp(0.0, 1.0)))
    }

    /// How far two colours are for those who tell them apart worst.
    fn apart(a: &str, b: &str) -> f64 {
        let distance = |eye| {
            let (a, b) = (seen(a, eye).0, seen(b, eye).0);
            a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        };
        EYES.iter().map(distance).fold(f64::INFINITY, f64::min)
    }

    fn all_apart(colours: &[&str], least: f64) {
        for (i, a) in colours.iter().enumerate() {
            for b in &colours[i + 1..] {
                assert!(apart(a, b) > least, "{a} {b}: {}", apart(a, b));
            }
        }
    }

    #[test]
    fn themes_and_categories_are_told_apart_by_all_eyes() {
        let themes = Theme::ALL.map(|theme| of_theme(theme).main);
        all_apart(&themes, 0.08);
        all_apart(&[CATEGORIES.as_slice(), &[REST]].concat(), 0.07);
        // On white paper and screens, at least 3 to 1 (WCAG 2.2, 1.4.11).
        for colour in themes {
            let [r, g, b] = linear(colour).unwrap();
            let contrast = 1.05 / (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05);
            assert!(contrast >= 3.0, "{colour}: {contrast}");
        }
    }

    #[test]
    fn classes_are_told_apart_by_all_eyes_and_in_grey() {
        for ramp in Ramp::ALL {
            let colours = of_ramp(ramp, crate::model::symbols::MAX_CLASSES);
            assert_eq!(colours.len(), crate::model::symbols::MAX_CLASSES);
            let diverging = matches!(ramp, Ramp::BleuRouge | Ramp::VioletOrange);
            for pair in colours.windows(2) {
                let [a, b] = pair else { unreachable!() };
                assert!(apart(a, b) > 0.05, "{ramp:?} {a} {b}: {}", apart(a, b));
                let lightness = |c| Lab::of_hex(c).unwrap().0[0];
                assert!(diverging || lightness(a) > lightness(b) + 0.05, "{ramp:?} {a} {b}");
            }
        }
    }

    #[test]
    fn a_ramp_begins_and_ends_with_its_own_colours() {
        for ramp in Ramp::ALL {
            let colours = of_ramp(ramp, 5);
            assert_eq!(colours.first().map(String::as_str), anchors(ramp).first().copied());
            assert_eq!(colours.last().map(String::as_str), anchors(ramp).last().copied());
        }
        assert_eq!(of_ramp(Ramp::BleuRouge, 1), ["#f7f7f7"]);
    }
}
