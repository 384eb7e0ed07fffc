//! The string in a received picture, within limits that hold before a pixel is decoded.
//!
//! The pictures of gateways are drawn, not photographed: straight, undistorted, nothing around the code. So the
//! modules are sampled on a plain grid, in time that grows with the pixels only. A search for codes in perspective
//! takes a time that a hostile picture chooses, and its geometry may panic.

use std::io::Cursor;

use png::{ColorType, Decoder, Limits, Transformations};
use rqrr::{Grid, SimpleGrid};

use super::RenderError;
use crate::provider::decode::is_raw;

/// Bytes of a picture; 256 KiB.
const LARGEST: usize = 256 << 10;
/// Pixels of a side.
const WIDEST: u32 = 2048;
/// Bytes that decoding may allocate; the most for `WIDEST` by `WIDEST` at 8 bits and 4 channels, and as much for rows.
const MEMORY: usize = 32 << 20;
/// Shades of grey, row by row.
struct Grey {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Grey {
    fn at(&self, x: usize, y: usize) -> Option<u8> {
        if x < self.width { self.pixels.get(y * self.width + x).copied() } else { None }
    }
}

/// The code in a PNG: the exact string that links a device, or `None` when there is no such code in it. At most
/// 256 KiB and 2048 by 2048 pixels; errors are [`RenderError::TooLarge`] and [`RenderError::Broken`].
pub fn recover(png: &[u8]) -> Result<Option<String>, RenderError> {
    let grey = decode(png)?;
    Ok([false, true].into_iter().find_map(|inverted| Ink { grey: &grey, inverted }.read()))
}

fn decode(png: &[u8]) -> Result<Grey, RenderError> {
    if png.len() > LARGEST {
        return Err(RenderError::TooLarge);
    }
    let mut decoder = Decoder::new_with_limits(Cursor::new(png), Limits { bytes: MEMORY });
    // Texts and profiles may be compressed bombs, and say nothing about the code.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(|_| RenderError::Broken)?;
    if header.width > WIDEST || header.height > WIDEST {
        return Err(RenderError::TooLarge);
    }
    let mut reader = decoder.read_info().map_err(|_| RenderError::Broken)?;
    let needed = reader.output_buffer_size().filter(|needed| *needed <= MEMORY).ok_or(RenderError::TooLarge)?;
    let mut buffer = vec![0; needed];
    let info = reader.next_frame(&mut buffer).map_err(|_| RenderError::Broken)?;
    let (width, height) = (info.width as usize, info.height as usize);
    let pixels = match info.color_type {
        ColorType::Grayscale => buffer.into_iter().take(width * height).collect(),
        ColorType::GrayscaleAlpha => shades(&buffer, 2),
        ColorType::Rgb => shades(&buffer, 3),
        ColorType::Rgba => shades(&buffer, 4),
        ColorType::Indexed => return Err(RenderError::Broken),
    };
    Ok(Grey { width, height, pixels })
}

/// Averages the colours and lays what is transparent on white, as a page would.
fn shades(buffer: &[u8], channels: usize) -> Vec<u8> {
    let shade = |pixel: &[u8]| {
        let (colour, alpha) = match pixel {
            [grey, alpha] => (u32::from(*grey), u32::from(*alpha)),
            [red, green, blue] => ((u32::from(*red) + u32::from(*green) + u32::from(*blue)) / 3, 255),
            [red, green, blue, alpha] => {
                ((u32::from(*red) + u32::from(*green) + u32::from(*blue)) / 3, u32::from(*alpha))
            }
            _ => (255, 255),
        };
        u8::try_from((colour * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
    };
    buffer.chunks_exact(channels).map(shade).collect()
}

/// What is drawn, dark on light or, in pictures for dark themes, light on dark.
#[derive(Clone, Copy)]
struct Ink<'a> {
    grey: &'a Grey,
    inverted: bool,
}

/// The rectangle that the ink fills: the code without its quiet zone.
#[derive(Clone, Copy)]
struct Frame {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Ink<'_> {
    fn at(self, x: usize, y: usize) -> bool {
        self.grey.at(x, y).is_some_and(|shade| (shade < 128) != self.inverted)
    }

    fn read(self) -> Option<String> {
        let frame = self.frame()?;
        let sizes = (1..=40).map(|version| 17 + 4 * version);
        sizes.filter(|size| self.fits(frame, *size)).find_map(|size| {
            let grid = Grid::new(SimpleGrid::from_func(size, |x, y| self.module(frame, size, x, y)));
            grid.decode().ok().map(|(_, text)| text).filter(|text| is_raw(text))
        })
    }

    fn frame(self) -> Option<Frame> {
        let row = |y: &usize| (0..self.grey.width).any(|x| self.at(x, *y));
        let column = |x: &usize| (0..self.grey.height).any(|y| self.at(*x, y));
        let (top, bottom) = ((0..self.grey.height).find(row)?, (0..self.grey.height).rfind(row)?);
        let (left, right) = ((0..self.grey.width).find(column)?, (0..self.grey.width).rfind(column)?);
        let (width, height) = (right - left + 1, bottom - top + 1);
        // Codes are square; a pixel or two may be lost to smoothing.
        (width.abs_diff(height) * 50 <= width.max(height)).then_some(Frame { left, top, width, height })
    }

    /// The pixel in the middle of a module of a code with so many on a side.
    fn module(self, frame: Frame, size: usize, x: usize, y: usize) -> bool {
        let middle = |start: usize, length: usize, at: usize| start + (2 * at + 1) * length / (2 * size);
        self.at(middle(frame.left, frame.width, x), middle(frame.top, frame.height, y))
    }

    /// Whether the three corner patterns of a code with so many modules on a side are where they must be. Smoothed
    /// or rounded ones lose some modules.
    fn fits(self, frame: Frame, size: usize) -> bool {
        if frame.width < size || frame.height < size {
            return false;
        }
        let far = size - 7;
        let misses: usize = [(0, 0), (far, 0), (0, far)]
            .into_iter()
            .map(|(left, top)| {
                let places = (0..7).flat_map(|y| (0..7).map(move |x| (x, y)));
                places.filter(|(x, y)| self.module(frame, size, left + x, top + y) != ink_of_corner(*x, *y)).count()
            })
            .sum();
        misses <= 15
    }
}

/// Three rings around the middle of a corner pattern: dark, light, and a dark square.
fn ink_of_corner(x: usize, y: usize) -> bool {
    x.abs_diff(3).max(y.abs_diff(3)) != 2
}
