//! Credentials in a payload, told by their value. Nothing that looks like a URL is ever fetched.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::Value;

use super::names::{Topic, speaks_of_code, speaks_of_pairing, speaks_of_qr, words};
use crate::provider::{QrContent, Token};

/// What a phone opens when it scans the newer of the two formats. Source: codes in circulation.
const LINK: &str = "https://wa.me/settings/linked_devices#";
/// Characters of a raw code; those in use have at most 280.
const LONGEST_RAW: usize = 1024;
/// Bytes of a picture; 256 KiB.
const LARGEST_PNG: usize = 256 << 10;
const PNG_MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";
/// What the magic looks like in base64, as far as it does not depend on the next byte.
pub(super) const PNG_MAGIC_BASE64: &str = "iVBORw0KGg";
/// Values that are looked at, and how deep.
const MOST_VALUES: usize = 512;
const DEEPEST: usize = 8;

/// Some gateways leave the padding out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a payload holds.
#[derive(Default)]
pub(super) struct Codes {
    raw: Option<String>,
    picture: Option<(u8, Vec<u8>)>,
    /// A code to type, under a key that says so.
    pairing: Option<String>,
    /// Two different raw codes: whose is which cannot be told.
    contradictory: bool,
    /// A place for a code that is empty: the last one is not valid any more.
    pub cleared: bool,
}

impl Codes {
    /// The code, raw before picture: only a raw one can be drawn in a terminal.
    pub(super) fn content(&mut self) -> Option<QrContent> {
        if self.contradictory {
            return None;
        }
        self.raw.take().map(QrContent::Raw).or_else(|| self.picture.take().map(|(_, png)| QrContent::Png(png)))
    }

    /// The code to type.
    pub(super) fn pairing(&mut self) -> Option<Token> {
        self.pairing.take().map(Token::new)
    }
}

/// The exact string of a QR code that links a device: `2@…` with at least three commas, or the same as a link.
/// At most 1024 printable ASCII characters.
#[must_use]
pub fn is_raw(text: &str) -> bool {
    if text.len() > LONGEST_RAW || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return false;
    }
    if let Some(rest) = text.strip_prefix(LINK) {
        return !rest.is_empty();
    }
    let mut start = text.bytes();
    start.next().is_some_and(|b| b.is_ascii_digit())
        && start.next() == Some(b'@')
        && text.bytes().filter(|b| *b == b',').count() >= 3
}

/// Eight capitals or digits, with or without a dash in the middle.
pub(super) fn is_pairing_code(text: &str) -> bool {
    let plain = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    match text.split_once('-') {
        Some((first, last)) => plain(first, 4) && plain(last, 4),
        None => plain(text, 8),
    }
}

/// Whether a string is a credential or a picture of one, and so no id.
pub(super) fn is_code(text: &str) -> bool {
    is_raw(text) || text.starts_with(PNG_MAGIC_BASE64) || text.starts_with("data:")
}

/// A PNG by its magic, of at most 256 KiB.
fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(PNG_MAGIC) && bytes.len() <= LARGEST_PNG
}

/// The PNG in a data URL or in bare base64.
fn picture(text: &str) -> Option<Vec<u8>> {
    let encoded = match text.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case("data:") => {
            let (head, encoded) = text.split_once(',')?;
            head.to_ascii_lowercase().ends_with(";base64").then_some(encoded)?
        }
        _ => text,
    };
    // Base64 of mail has line breaks. A quarter of the length is what base64 adds, and some for these.
    if !encoded.starts_with(PNG_MAGIC_BASE64) || encoded.len() > LARGEST_PNG / 2 * 3 {
        return None;
    }
    let joined: Vec<u8> = encoded.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    LENIENT.decode(joined).ok().filter(|bytes| is_png(bytes))
}

/// Looks through all arguments of an event.
pub(super) fn codes(topic: Topic, args: &[Value], attachments: &[Vec<u8>]) -> Codes {
    let mut search = Search { topic, attachments, left: MOST_VALUES, found: Codes::default() };
    search.found.cleared = topic.codes && args.is_empty();
    let several = args.len() > 1;
    for (at, value) in args.iter().enumerate() {
        // The first of several arguments is an id if it is a string at all; ids may look like pairing codes.
        let may_be_id = several && at == 0 && value.is_string();
        let hint = Hint { qr: false, pairing: (topic.pairing || at > 0) && !may_be_id, plain: true };
        search.value(value, hint, DEEPEST);
    }
    let Search { mut found, .. } = search;
    if found.raw.is_some() || found.picture.is_some() {
        found.cleared = false;
    }
    found
}

/// What the keys on the way to a value say about it.
#[derive(Clone, Copy)]
struct Hint {
    /// A key speaks of a QR.
    qr: bool,
    /// The key, the position or the event's name speaks of a pairing code.
    pairing: bool,
    /// No key says anything: an empty value clears what the event is about.
    plain: bool,
}

struct Search<'a> {
    topic: Topic,
    attachments: &'a [Vec<u8>],
    left: usize,
    found: Codes,
}

impl Search<'_> {
    fn value(&mut self, value: &Value, hint: Hint, depth: usize) {
        let (Some(left), Some(depth)) = (self.left.checked_sub(1), depth.checked_sub(1)) else { return };
        self.left = left;
        match value {
            Value::Null => self.empty(hint),
            Value::String(text) if text.trim().is_empty() => self.empty(hint),
            Value::String(text) => self.text(text, hint),
            Value::Array(values) => {
                for value in values {
                    self.value(value, Hint { plain: false, ..hint }, depth);
                }
            }
            Value::Object(members) => {
                if let Some(bytes) = placeholder(value).and_then(|at| self.attachments.get(at)) {
                    return self.image(hint, || is_png(bytes).then(|| bytes.clone()));
                }
                for (key, value) in members {
                    self.member(key, value, hint, depth);
                }
            }
            Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn member(&mut self, key: &str, value: &Value, hint: Hint, depth: usize) {
        let words = words(key);
        if words.iter().any(|word| matches!(word.as_str(), "avatar" | "profile" | "thumbnail" | "photo")) {
            return;
        }
        let qr = speaks_of_qr(&words);
        let pairing = speaks_of_pairing(&words);
        let code = self.topic.codes && speaks_of_code(&words);
        self.value(value, Hint { qr: hint.qr || qr, pairing: pairing || code, plain: qr }, depth);
    }

    fn empty(&mut self, hint: Hint) {
        self.found.cleared |= self.topic.codes && hint.plain;
    }

    fn text(&mut self, text: &str, hint: Hint) {
        if is_raw(text) {
            self.raw(text);
        } else if is_pairing_code(text) {
            if hint.pairing {
                self.found.pairing.get_or_insert_with(|| text.to_owned());
            }
        } else {
            self.image(hint, || picture(text));
        }
    }

    fn raw(&mut self, text: &str) {
        let bare = |text: &str| text.strip_prefix(LINK).unwrap_or(text).to_owned();
        match &self.found.raw {
            None => self.found.raw = Some(text.to_owned()),
            Some(known) => self.found.contradictory |= bare(known) != bare(text),
        }
    }

    /// In an event about status a picture needs a key that says so: it could be anybody's portrait. Of several, the
    /// one under such a key counts.
    fn image(&mut self, hint: Hint, png: impl FnOnce() -> Option<Vec<u8>>) {
        if !hint.qr && !self.topic.codes {
            return;
        }
        let rank = u8::from(hint.qr);
        if self.found.picture.as_ref().is_none_or(|(known, _)| *known < rank)
            && let Some(png) = png()
        {
            self.found.picture = Some((rank, png));
        }
    }
}

/// The number of the attachment that stands here.
fn placeholder(value: &Value) -> Option<usize> {
    value.get("_placeholder").filter(|is| **is == Value::Bool(true))?;
    value.get("num")?.as_u64().and_then(|at| usize::try_from(at).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_raw_codes() {
        let long = format!("2@{},a,b,c", "x".repeat(LONGEST_RAW));
        for (text, expected) in [
            ("2@a,b,c,d", true),
            ("2@a,b,c,d,1", true),
            ("9@,,,", true),
            ("https://wa.me/settings/linked_devices#2@a,b,c,d", true),
            ("https://wa.me/settings/linked_devices#", false),
            ("https://wa.me/123", false),
            ("2@a,b,c", false),
            ("a@a,b,c,d", false),
            ("22@a,b,c,d", false),
            ("2@a,b,c,d\n", false),
            ("2@a,b,c,é", false),
            ("", false),
            (&long, false),
        ] {
            assert_eq!(is_raw(text), expected, "{text}");
        }
    }

    #[test]
    fn knows_pairing_codes() {
        for (text, expected) in [
            ("ABCD1234", true),
            ("ABCD-1234", true),
            ("ABCDE123", true),
            ("ABCD-123", false),
            ("ABC-1234", false),
            ("ABCDE-1234", false),
            ("ABCD--123", false),
            ("abcd1234", false),
            ("ABCD12345", false),
            ("ABCD12é4", false),
            ("", false),
        ] {
            assert_eq!(is_pairing_code(text), expected, "{text}");
        }
    }

    #[test]
    fn knows_pictures() {
        let png = [PNG_MAGIC, b"rest"].concat();
        let encoded = LENIENT.encode(&png);
        let bare = encoded.trim_end_matches('=');
        let (head, tail) = encoded.split_at(11);
        for text in [
            encoded.clone(),
            bare.to_owned(),
            format!("{head}\r\n{tail}"),
            format!("data:image/png;base64,{encoded}"),
            format!("DATA:image/png;charset=utf-8;BASE64,{encoded}"),
        ] {
            assert_eq!(picture(&text).as_deref(), Some(png.as_slice()), "{text}");
        }
        for text in
            ["", "data:", "data:image/png,x", "data:image/png;base64,/9j/4AAQ", "iVBORw0KGgo!", "https://x/y.png"]
        {
            assert_eq!(picture(text), None, "{text}");
        }
        let large = LENIENT.encode([PNG_MAGIC, vec![0; LARGEST_PNG].as_slice()].concat());
        assert_eq!(picture(&large), None);
    }
}
