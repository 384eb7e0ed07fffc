use std::io::Cursor;

use proptest::prelude::*;

use super::*;

/// Printable characters in no order, as keys are.
fn filler(length: usize) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..length).map(|at| char::from(letters[(at * at + at * 7 + 3) % letters.len()])).collect()
}

fn raw(length: usize) -> String {
    let reference = filler(length - 2 - 3 * 45);
    format!("2@{reference},{key}=,{key}=,{key}=", key = filler(43))
}

fn link(length: usize) -> String {
    format!("https://wa.me/settings/linked_devices#{}", raw(length - 38))
}

fn real_ones() -> Vec<String> {
    [225, 237, 240].map(raw).into_iter().chain([265, 280].map(link)).collect()
}

fn pixels(png: &[u8]) -> (usize, Vec<u8>) {
    let mut decoder = png::Decoder::new(Cursor::new(png));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut buffer).unwrap();
    assert_eq!(info.color_type, png::ColorType::Grayscale);
    (info.width as usize, buffer)
}

fn encode(width: u32, height: u32, color: png::ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, width, height);
    encoder.set_color(color);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    picture
}

/// What a phone's camera does: finds the code wherever it is.
fn scan(width: usize, height: usize, shade: impl Fn(usize, usize) -> u8) -> Option<String> {
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, shade);
    image.detect_grids().first()?.decode().ok().map(|(_, text)| text)
}

#[test]
fn renders_exactly_the_string() {
    for raw in real_ones() {
        let pictures = render(&QrContent::Raw(raw.clone())).unwrap();
        let (width, pixels) = pixels(&pictures.png);
        assert_eq!(scan(width, width, |x, y| pixels[y * width + x]).as_deref(), Some(raw.as_str()));
        assert_eq!(pictures.raw.as_deref(), Some(raw.as_str()));
        assert!(pictures.png.len() < 16 << 10, "{}", pictures.png.len());
        let svg = pictures.svg.unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && svg.len() < 128 << 10);
    }
}

/// Reads half blocks as a light terminal shows them.
fn scan_text(text: &str) -> Option<String> {
    let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    let (scale, width) = (4, rows[0].len());
    scan(width * scale, rows.len() * 2 * scale, |x, y| {
        let (x, y) = (x / scale, y / scale);
        let ink = match rows[y / 2][x] {
            '█' => true,
            '▀' => y % 2 == 0,
            '▄' => y % 2 == 1,
            ' ' => false,
            other => panic!("{other:?} is no half block"),
        };
        if ink { 0 } else { 255 }
    })
}

#[test]
fn the_text_is_the_code_as_well() {
    for raw in real_ones() {
        let text = render(&QrContent::Raw(raw.clone())).unwrap().text.unwrap();
        assert_eq!(scan_text(&text).as_deref(), Some(raw.as_str()));
        assert_eq!(terminal(&raw, Style::Plain).unwrap(), text);
        let (columns, rows) = size(&raw).unwrap();
        assert_eq!(text.lines().count(), rows);
        assert!(text.lines().all(|line| line.chars().count() == columns));
        assert!(columns <= 73 && rows <= 37, "{columns} by {rows}");
    }
}

#[test]
fn ansi_says_its_colours_on_every_line() {
    let raw = raw(237);
    let text = terminal(&raw, Style::Ansi).unwrap();
    let mut bare = String::new();
    for line in text.lines() {
        let inner = line.strip_prefix("\x1b[30;107m\x1b[38;5;16;48;5;231m").unwrap().strip_suffix("\x1b[0m").unwrap();
        bare.push_str(inner);
        bare.push('\n');
    }
    assert_eq!(bare, terminal(&raw, Style::Plain).unwrap());
}

#[test]
fn a_received_picture_is_published_as_it_is_and_read() {
    for raw in real_ones() {
        let ours = render(&QrContent::Raw(raw.clone())).unwrap();
        let theirs = render(&QrContent::Png(ours.png.clone())).unwrap();
        assert!(ours == theirs);
    }
}

/// A code drawn as other gateways draw it: any scale, margin, colours and depth.
fn drawn(raw: &str, scale: usize, margin: usize, color: png::ColorType, inverted: bool) -> Vec<u8> {
    let text = terminal(raw, Style::Plain).unwrap();
    let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    let modules = rows[0].len() - 8;
    let side = modules * scale + 2 * margin;
    let mut pixels = Vec::new();
    for y in 0..side {
        for x in 0..side {
            let place = |at: usize| at.checked_sub(margin).map(|at| at / scale).filter(|at| *at < modules);
            let ink = place(x).zip(place(y)).is_some_and(|(x, y)| {
                let cell = rows[y / 2 + 2][x + 4];
                cell == '█' || cell == if y % 2 == 0 { '▀' } else { '▄' }
            });
            let shade = if ink == inverted { 250 } else { 20 };
            match color {
                png::ColorType::Rgba if !ink && !inverted => pixels.extend([0, 0, 0, 0]),
                png::ColorType::Rgba => pixels.extend([shade, shade, shade, 255]),
                png::ColorType::Rgb => pixels.extend([shade, shade / 2, shade]),
                png::ColorType::GrayscaleAlpha => pixels.extend([shade, 255]),
                _ => pixels.push(shade),
            }
        }
    }
    let side = u32::try_from(side).unwrap();
    encode(side, side, color, &pixels)
}

#[test]
fn reads_pictures_of_other_make() {
    use png::ColorType::{Grayscale, GrayscaleAlpha, Rgb, Rgba};
    let raw = raw(237);
    for (scale, margin, color, inverted) in [
        (1, 0, Grayscale, false),
        (1, 4, Rgb, false),
        (3, 0, Rgba, false),
        (4, 16, Rgba, false),
        (5, 7, GrayscaleAlpha, false),
        (4, 16, Grayscale, true),
        (28, 20, Grayscale, false),
    ] {
        let png = drawn(&raw, scale, margin, color, inverted);
        let what = format!("scale {scale}, margin {margin}, {color:?}, inverted {inverted}");
        assert!(recover(&png).unwrap().as_deref() == Some(raw.as_str()), "{what}");
    }
}

#[test]
fn a_picture_without_a_code_is_published_without_a_text() {
    let grey = encode(64, 64, png::ColorType::Grayscale, &[128; 64 * 64]);
    let stranger = drawn("https://example.com/not-a-linked-device", 4, 16, png::ColorType::Grayscale, false);
    for png in [grey, stranger] {
        let pictures = render(&QrContent::Png(png.clone())).unwrap();
        assert!(pictures == Pictures { raw: None, png, svg: None, text: None });
    }
}

/// A PNG that says it is so large, with a body of a few bytes.
fn claims(width: u32, height: u32) -> Vec<u8> {
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, width, height);
    encoder.set_color(png::ColorType::Rgba);
    drop(encoder.write_header().unwrap());
    picture
}

#[test]
fn hostile_pictures_are_errors() {
    let whole = render(&QrContent::Raw(raw(237))).unwrap().png;
    let error = |png: Vec<u8>| render(&QrContent::Png(png)).unwrap_err();
    assert_eq!(error(claims(2049, 10)), RenderError::TooLarge);
    assert_eq!(error(claims(10, 2049)), RenderError::TooLarge);
    assert_eq!(error(claims(u32::MAX >> 1, u32::MAX >> 1)), RenderError::TooLarge);
    assert_eq!(error(claims(2048, 2048)), RenderError::Broken);
    assert_eq!(error(vec![0; (256 << 10) + 1]), RenderError::TooLarge);
    assert_eq!(error(b"GIF89a".to_vec()), RenderError::Broken);
    assert_eq!(error(Vec::new()), RenderError::Broken);
    for length in [8, 20, 33, 60, whole.len() / 2] {
        assert_eq!(error(whole[..length].to_vec()), RenderError::Broken, "{length}");
    }
}

#[test]
fn a_string_that_fits_no_code_is_an_error() {
    assert_eq!(render(&QrContent::Raw("x".repeat(4000))).unwrap_err(), RenderError::TooLong);
    assert!(render(&QrContent::Raw("x".repeat(1024))).is_ok());
    assert_eq!(size(&"x".repeat(4000)), Err(RenderError::TooLong));
}

#[test]
fn debug_shows_no_code() {
    let pictures = render(&QrContent::Raw(raw(237))).unwrap();
    assert_eq!(format!("{pictures:?}"), "Pictures(redacted)");
}

/// Far above what it takes, so that only a change of its order is noticed.
#[test]
fn rendering_and_reading_are_cheap() {
    let begun = std::time::Instant::now();
    let png = render(&QrContent::Raw(link(280))).unwrap().png;
    render(&QrContent::Png(png)).unwrap();
    let hostile: Vec<u8> = (0..2048_usize * 2048)
        .map(|at| {
            let (x, y) = ((at % 2048) % 9, (at / 2048) % 9);
            let ring = x.abs_diff(4).max(y.abs_diff(4));
            if ring == 2 || ring == 4 { 255 } else { 0 }
        })
        .collect();
    assert_eq!(recover(&encode(2048, 2048, png::ColorType::Grayscale, &hostile)), Ok(None));
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_pictures_never_panic(at in proptest::collection::vec((0_usize..4000, any::<u8>()), 1..8)) {
        let mut png = render(&QrContent::Raw(raw(237))).unwrap().png;
        for (at, byte) in at {
            let length = png.len();
            png[at % length] = byte;
        }
        let _ = render(&QrContent::Png(png));
    }

    #[test]
    fn scribbled_codes_never_panic(blots in proptest::collection::vec((0_usize..200, 0_usize..200, 1_usize..40), 0..12)) {
        let whole = drawn(&raw(237), 3, 3, png::ColorType::Grayscale, false);
        let (width, mut pixels) = pixels(&whole);
        for (x, y, size) in blots {
            for y in y..(y + size).min(width) {
                for x in x..(x + size).min(width) {
                    pixels[y * width + x] ^= 0xff;
                }
            }
        }
        let side = u32::try_from(width).unwrap();
        let read = recover(&encode(side, side, png::ColorType::Grayscale, &pixels)).unwrap();
        prop_assert!(read.is_none_or(|read| read == raw(237)));
    }

    #[test]
    fn any_string_is_drawn_or_refused(text in ".{0,400}") {
        if let Ok(pictures) = render(&QrContent::Raw(text.clone())) {
            let (width, pixels) = pixels(&pictures.png);
            prop_assert_eq!(pixels.len(), width * width);
        }
    }
}
