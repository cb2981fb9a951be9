//! The symbols of themes as a MapLibre sprite: white, to lie on a disc of any colour. They are drawn
//! from paths when they are first asked for.

use crate::{
    error::{Error, Result},
    model::Theme,
};
use flate2::{Compression, Crc, write::ZlibEncoder};
use serde_json::{Value, json};
use std::io::Write;
use tiny_skia::{FillRule, Paint, Path, PathBuilder, Pixmap, Transform};

/// Width and height of a symbol, CSS pixels and units of its path.
const SIDE: u32 = 20;

/// One picture of all symbols, and where each is in it.
#[derive(Debug)]
pub struct Sprite {
    /// The index, as MapLibre reads it.
    pub index: Value,
    /// The picture.
    pub png: Vec<u8>,
}

impl Sprite {
    /// At so many pixels to a CSS pixel.
    ///
    /// # Errors
    /// [`Error::Fault`] when the picture cannot be made.
    pub fn drawn(ratio: u8) -> Result<Self> {
        let picture = picture(ratio).ok_or_else(|| Error::broken("a sprite that is not drawn"))?;
        let png = png(&picture).map_err(|e| Error::fault("writing a picture", e))?;
        let side = SIDE * u32::from(ratio);
        let place = |(at, theme): (u32, Theme)| {
            let place = json!({ "x": at * side, "y": 0, "width": side, "height": side, "pixelRatio": ratio });
            (theme.id().to_owned(), place)
        };
        Ok(Self { index: Value::Object((0..).zip(themes()).map(place).collect()), png })
    }
}

/// The symbols beside each other, white on nothing.
fn picture(ratio: u8) -> Option<Pixmap> {
    let (side, themes) = (SIDE * u32::from(ratio), themes());
    let mut picture = Pixmap::new(side * u32::try_from(themes.len()).ok()?, side)?;
    let mut paint = Paint::default();
    paint.set_color_rgba8(255, 255, 255, 255);
    for (at, theme) in (0..).zip(themes) {
        let (scale, x) = (f32::from(ratio), (at * side) as f32);
        let to = Transform::from_scale(scale, scale).post_translate(x, 0.0);
        picture.fill_path(&path(symbol(theme)?)?, &paint, FillRule::EvenOdd, to, None);
    }
    Some(picture)
}

/// The picture as PNG (ISO 15948) of grey and alpha, of which only alpha says something.
fn png(picture: &Pixmap) -> std::io::Result<Vec<u8>> {
    let mut rows = ZlibEncoder::new(Vec::new(), Compression::best());
    for row in picture.pixels().chunks(picture.width() as usize) {
        // Each row says first how it is filtered: not at all.
        rows.write_all(&[0])?;
        let grey: Vec<u8> = row.iter().flat_map(|pixel| [255, pixel.alpha()]).collect();
        rows.write_all(&grey)?;
    }
    let mut head = [picture.width().to_be_bytes(), picture.height().to_be_bytes()].concat();
    // Eight bits, grey with alpha, and the one way to compress, to filter and to order rows.
    head.extend([8, 4, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", head), (b"IDAT", rows.finish()?), (b"IEND", Vec::new())] {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(&data);
        png.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
        png.extend(kind);
        png.extend(&data);
        png.extend(crc.sum().to_be_bytes());
    }
    Ok(png)
}

/// Whether a theme has a symbol.
pub(super) fn has(theme: Theme) -> bool {
    symbol(theme).is_some()
}

fn themes() -> Vec<Theme> {
    Theme::ALL.into_iter().filter(|theme| has(*theme)).collect()
}

/// The path of a symbol: moves, lines and curves in absolute coordinates, filled by the even-odd
/// rule.
fn symbol(theme: Theme) -> Option<&'static str> {
    Some(match theme {
        Theme::Divers | Theme::Limites => return None,
        // A front with columns.
        Theme::Equipements => {
            "M 10 2 L 18 7 L 18 9 L 2 9 L 2 7 Z M 4 10 L 6.5 10 L 6.5 15 L 4 15 Z \
             M 8.8 10 L 11.2 10 L 11.2 15 L 8.8 15 Z M 13.5 10 L 16 10 L 16 15 L 13.5 15 Z \
             M 2 16 L 18 16 L 18 18 L 2 18 Z"
        }
        // A flag.
        Theme::Programmes => {
            "M 4.5 2 L 6.3 2 L 6.3 18 L 4.5 18 Z M 7.2 3 L 17 3 L 14 7 L 17 11 L 7.2 11 Z"
        }
        // A bag.
        Theme::Commerces => {
            "M 3.5 7 L 16.5 7 L 17.5 18 L 2.5 18 Z \
             M 6.5 7 C 6.5 0.8 13.5 0.8 13.5 7 L 12 7 C 12 2.8 8 2.8 8 7 Z"
        }
        // A leaf.
        Theme::Environnement => {
            "M 3.5 13 C 3.5 6.5 9 3 17.5 2.5 C 17.5 11 13 16.5 6.8 15.6 L 4.6 18 L 3 16.6 Z \
             M 6.5 14 L 13.5 6.8 L 12.8 6.1 L 5.8 13.3 Z"
        }
        // A bus.
        Theme::Transport => {
            "M 4.5 2.5 L 15.5 2.5 L 17 4.5 L 17 15.5 L 3 15.5 L 3 4.5 Z M 4.8 5 L 15.2 5 L 15.2 10 L 4.8 10 Z \
             M 4.5 15.5 L 7.3 15.5 L 7.3 18 L 4.5 18 Z M 12.7 15.5 L 15.5 15.5 L 15.5 18 L 12.7 18 Z"
        }
    })
}

fn path(text: &str) -> Option<Path> {
    let mut words = text.split_ascii_whitespace();
    let mut path = PathBuilder::new();
    while let Some(command) = words.next() {
        let mut next = || words.next()?.parse::<f32>().ok();
        match command {
            "M" => path.move_to(next()?, next()?),
            "L" => path.line_to(next()?, next()?),
            "C" => path.cubic_to(next()?, next()?, next()?, next()?, next()?, next()?),
            "Z" => path.close(),
            _ => return None,
        }
    }
    path.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_is_drawn_in_its_place_at_both_sizes() {
        for ratio in [1, 2] {
            let sprite = Sprite::drawn(ratio).unwrap();
            let picture = picture(ratio).unwrap();
            let places = sprite.index.as_object().unwrap();
            assert_eq!(places.len(), 5);
            assert_eq!(picture.width(), 5 * SIDE * u32::from(ratio));
            for (name, place) in places {
                let [x, side] = ["x", "width"].map(|key| place[key].as_u64().unwrap() as u32);
                let inside = (0..side).flat_map(|dy| (0..side).map(move |dx| (x + dx, dy)));
                let white = inside.filter(|(x, y)| picture.pixel(*x, *y).unwrap().alpha() > 200);
                let share = white.count() as f64 / f64::from(side * side);
                assert!((0.15..0.7).contains(&share), "{name} at {ratio}: {share}");
                // A margin of a pixel: neighbours do not bleed into each other.
                let edge = |dx| (0..side).all(|y| picture.pixel(x + dx, y).unwrap().alpha() == 0);
                assert!(edge(0) && edge(side - 1), "{name} at {ratio}");
            }
        }
    }
}
