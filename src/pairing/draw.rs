//! A string as a QR code: byte mode, error correction M, a quiet zone of four modules on every side.

use fast_qr::{
    ECL, Mode, QRBuilder, QRCode,
    convert::{Builder, Shape, svg::SvgBuilder},
};

use super::RenderError;

/// Modules around the code; phones refuse a code without them. Source: ISO/IEC 18004.
const QUIET: usize = 4;
/// Pixels per module of the PNG.
const SCALE: usize = 8;

/// How a code is drawn on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Half blocks in the terminal's own colours: right on a light background only, and in a file or a pipe.
    Plain,
    /// The same with explicit black on white, which phones read in every theme.
    Ansi,
}

/// Black and white of the 256 colours, which themes leave alone; after those of the 16 for terminals without.
const BLACK_ON_WHITE: &str = "\x1b[30;107m\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

pub(super) fn encode(raw: &str) -> Result<QRCode, RenderError> {
    QRBuilder::new(raw).mode(Mode::Byte).ecl(ECL::M).build().map_err(|_| RenderError::TooLong)
}

/// Modules of a side, the quiet zone included.
fn side(code: &QRCode) -> usize {
    code.size + 2 * QUIET
}

/// Whether there is ink at a place that counts from the quiet zone's corner.
fn dark(code: &QRCode, x: usize, y: usize) -> bool {
    let (Some(x), Some(y)) = (x.checked_sub(QUIET), y.checked_sub(QUIET)) else { return false };
    x < code.size && y < code.size && code[y].get(x).is_some_and(|module| module.value())
}

/// One bit per pixel, 8 pixels per module.
pub(super) fn png(code: &QRCode) -> Result<Vec<u8>, RenderError> {
    let side = side(code);
    // At one bit per pixel and 8 pixels per module, a module is exactly one byte.
    let mut pixels = Vec::with_capacity(side * side * SCALE);
    for y in 0..side {
        let row: Vec<u8> = (0..side).map(|x| if dark(code, x, y) { 0x00 } else { 0xff }).collect();
        for _ in 0..SCALE {
            pixels.extend_from_slice(&row);
        }
    }
    let width = u32::try_from(side * SCALE).map_err(|_| RenderError::Encoding)?;
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, width, width);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().map_err(|_| RenderError::Encoding)?;
    writer.write_image_data(&pixels).map_err(|_| RenderError::Encoding)?;
    writer.finish().map_err(|_| RenderError::Encoding)?;
    Ok(picture)
}

pub(super) fn svg(code: &QRCode) -> String {
    SvgBuilder::default().margin(QUIET).shape(Shape::Square).to_str(code)
}

pub(super) fn plain(code: &QRCode) -> String {
    lines(code).map(|line| line + "\n").collect()
}

fn ansi(code: &QRCode) -> String {
    lines(code).flat_map(|line| [BLACK_ON_WHITE.to_owned(), line, RESET.to_owned() + "\n"]).collect()
}

/// One character per module and per two rows; ink is the terminal's foreground.
fn lines(code: &QRCode) -> impl Iterator<Item = String> {
    let side = side(code);
    (0..side).step_by(2).map(move |y| {
        (0..side)
            .map(|x| match (dark(code, x, y), dark(code, x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect()
    })
}

/// A code as text, quiet zone included, a line feed after every line. Draws what [`size`] says.
pub fn terminal(raw: &str, style: Style) -> Result<String, RenderError> {
    let code = encode(raw)?;
    Ok(match style {
        Style::Plain => plain(&code),
        Style::Ansi => ansi(&code),
    })
}

/// Columns and rows, in cells, that [`terminal`] takes for this string.
pub fn size(raw: &str) -> Result<(usize, usize), RenderError> {
    let side = side(&encode(raw)?);
    Ok((side, side.div_ceil(2)))
}
