//! From a received code to pictures. A code is a credential: what is made here belongs in a Secret or on a terminal
//! and nowhere else, and no `Debug` or error shows it.
//!
//! Everything is a pure function that may take some milliseconds of processor time and a few MiB of memory.

mod draw;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;

pub use self::{
    draw::{Style, size, terminal},
    read::recover,
};
use crate::provider::QrContent;

/// Everything a code is published as.
#[derive(Clone, PartialEq, Eq)]
pub struct Pictures {
    /// The exact string in the code; `None` when only a picture came and it could not be read.
    pub raw: Option<String>,
    /// A PNG: ours with 8 pixels per module, or the provider's as it came.
    pub png: Vec<u8>,
    /// An SVG document; `None` without `raw`.
    pub svg: Option<String>,
    /// Half blocks as of [`Style::Plain`]; `None` without `raw`.
    pub text: Option<String>,
}

impl fmt::Debug for Pictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pictures(redacted)")
    }
}

/// Why there is no picture. Says nothing about the code itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// No QR code has room for it.
    #[error("the string is too long for a QR code")]
    TooLong,
    /// Our own PNG could not be written.
    #[error("the picture could not be encoded")]
    Encoding,
    /// Not a PNG, or one that is cut off or damaged.
    #[error("the picture is not a whole PNG")]
    Broken,
    /// More than 256 KiB, or wider or higher than 2048 pixels.
    #[error("the picture is larger than 256 KiB or 2048 by 2048 pixels")]
    TooLarge,
}

/// Renders exactly the string received, or publishes the picture received and recovers the string from it.
pub fn render(content: &QrContent) -> Result<Pictures, RenderError> {
    match content {
        QrContent::Raw(raw) => {
            let code = draw::encode(raw)?;
            let png = draw::png(&code)?;
            Ok(Pictures { png, svg: Some(draw::svg(&code)), text: Some(draw::plain(&code)), raw: Some(raw.clone()) })
        }
        QrContent::Png(png) => {
            let Some(raw) = recover(png)? else {
                return Ok(Pictures { raw: None, png: png.clone(), svg: None, text: None });
            };
            let code = draw::encode(&raw)?;
            let (svg, text) = (Some(draw::svg(&code)), Some(draw::plain(&code)));
            Ok(Pictures { raw: Some(raw), png: png.clone(), svg, text })
        }
    }
}
