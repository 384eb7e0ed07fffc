//! The codes a phone scans: their text and their picture.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};

use super::tenant::QrFormat;

const LINK: &str = "https://wa.me/settings/linked_devices#";
const QUIET_ZONE: usize = 4;
const PIXELS_PER_MODULE: usize = 4;

/// A new code: a reference and three keys of 32 bytes, as the real ones.
pub(super) fn random_code(rng: &mut StdRng, format: QrFormat) -> String {
    // Chosen so that both formats have the lengths seen in the wild: 225–240 and 265–280.
    let reference_bytes = rng.random_range(67..=75);
    let mut part = |bytes: usize| {
        let mut buffer = vec![0_u8; bytes];
        rng.fill_bytes(&mut buffer);
        STANDARD.encode(buffer)
    };
    let code = format!("2@{},{},{},{}", part(reference_bytes), part(32), part(32), part(32));
    match format {
        QrFormat::Plain => code,
        QrFormat::WaMe => format!("{LINK}{code}"),
    }
}

/// What can be typed on the phone instead of scanning `code`: two groups of four capitals and digits.
#[must_use]
pub fn pairing_code(code: &str) -> String {
    let letters = code.chars().rev().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase());
    letters.take(8).enumerate().flat_map(|(at, letter)| (at == 4).then_some('-').into_iter().chain([letter])).collect()
}

/// A PNG picture of any text; empty when the text is too long for a QR code.
#[must_use]
pub fn picture(text: &str) -> Vec<u8> {
    let Ok(code) = fast_qr::QRBuilder::new(text).ecl(fast_qr::ECL::M).build() else { return Vec::new() };
    let modules = code.size + 2 * QUIET_ZONE;
    let side = modules * PIXELS_PER_MODULE;
    let dark = |pixel_row: usize, pixel_column: usize| {
        let module = |pixel: usize| (pixel / PIXELS_PER_MODULE).checked_sub(QUIET_ZONE).filter(|at| *at < code.size);
        match (module(pixel_row), module(pixel_column)) {
            (Some(row), Some(column)) => code.data.get(row * code.size + column).is_some_and(|module| module.value()),
            _ => false,
        }
    };
    let pixels: Vec<u8> =
        (0..side * side).map(|pixel| if dark(pixel / side, pixel % side) { 0 } else { 255 }).collect();
    encode(side, &pixels).unwrap_or_default()
}

fn encode(side: usize, pixels: &[u8]) -> Option<Vec<u8>> {
    let side = u32::try_from(side).ok()?;
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(pixels).ok()?;
    writer.finish().ok()?;
    Some(out)
}

/// A picture as a data URL.
#[must_use]
pub fn data_url(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn codes_have_the_real_lengths_and_shape() {
        let mut rng = StdRng::seed_from_u64(7);
        for _ in 0..200 {
            let plain = random_code(&mut rng, QrFormat::Plain);
            assert!((225..=240).contains(&plain.len()), "{}", plain.len());
            assert!(plain.starts_with("2@"));
            assert_eq!(plain.matches(',').count(), 3);
            let link = random_code(&mut rng, QrFormat::WaMe);
            assert!((265..=280).contains(&link.len()), "{}", link.len());
            assert!(link.starts_with("https://wa.me/settings/linked_devices#2@"));
        }
    }

    #[test]
    fn pictures_can_be_read_back() {
        let mut rng = StdRng::seed_from_u64(7);
        for format in [QrFormat::Plain, QrFormat::WaMe] {
            let code = random_code(&mut rng, format);
            let png = picture(&code);
            let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut pixels).unwrap();
            let (width, height) = (info.width as usize, info.height as usize);
            let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
            let grids = image.detect_grids();
            assert_eq!(grids[0].decode().unwrap().1, code);
        }
    }
}
