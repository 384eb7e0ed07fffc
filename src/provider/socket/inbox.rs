//! Events whose binary parts arrive in frames of their own.

use std::{
    mem,
    sync::atomic::{AtomicU64, Ordering},
};

use super::frame::Event;

/// Binary frames that one event may have.
const MOST_ATTACHMENTS: usize = 4;
/// Bytes that the binary frames of one event may have together; 1 MiB.
const LARGEST_ATTACHMENTS: usize = 1 << 20;

/// What was dropped, and never silently.
#[derive(Debug, Default)]
pub struct Tally {
    /// Frames that are no packets of the protocol, and binary frames that belong to no event.
    pub malformed: AtomicU64,
    /// Events with more or larger attachments than are taken, or whose attachments never came.
    pub oversized: AtomicU64,
    /// Events that could not be understood.
    pub unknown: AtomicU64,
}

impl Tally {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// An event with all its attachments.
#[derive(Debug)]
pub(super) struct Whole {
    pub event: Event,
    pub attachments: Vec<Vec<u8>>,
}

/// The event that still waits for binary frames; at most one, as frames come in order.
#[derive(Debug, Default)]
pub(super) enum Inbox {
    #[default]
    Empty,
    Collecting {
        event: Event,
        frames: Vec<Vec<u8>>,
        bytes: usize,
    },
    Dropping {
        left: usize,
    },
}

impl Inbox {
    /// Takes an event's text frame; gives it back when nothing more belongs to it.
    pub(super) fn event(&mut self, event: Event, tally: &Tally) -> Option<Whole> {
        self.interrupted(tally);
        match event.attachments {
            0 => return Some(Whole { event, attachments: Vec::new() }),
            1..=MOST_ATTACHMENTS => *self = Self::Collecting { event, frames: Vec::new(), bytes: 0 },
            left => {
                Tally::count(&tally.oversized);
                *self = Self::Dropping { left };
            }
        }
        None
    }

    /// Any other Socket.IO packet ends the wait: nothing may stand between an event and its attachments.
    pub(super) fn interrupted(&mut self, tally: &Tally) {
        if let Self::Collecting { .. } = mem::take(self) {
            Tally::count(&tally.oversized);
        }
    }

    /// Takes a binary frame; gives the event when this was its last.
    pub(super) fn binary(&mut self, frame: Vec<u8>, tally: &Tally) -> Option<Whole> {
        match mem::take(self) {
            Self::Empty => {
                Tally::count(&tally.malformed);
                None
            }
            Self::Dropping { left } => {
                if left > 1 {
                    *self = Self::Dropping { left: left - 1 };
                }
                None
            }
            Self::Collecting { event, mut frames, bytes } => {
                let bytes = bytes.saturating_add(frame.len());
                let left = event.attachments.saturating_sub(frames.len() + 1);
                if bytes > LARGEST_ATTACHMENTS {
                    Tally::count(&tally.oversized);
                    if left > 0 {
                        *self = Self::Dropping { left };
                    }
                    return None;
                }
                frames.push(frame);
                if left == 0 {
                    return Some(Whole { event, attachments: frames });
                }
                *self = Self::Collecting { event, frames, bytes };
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(attachments: usize) -> Event {
        Event { name: "e".to_owned(), args: Vec::new(), ack: None, attachments }
    }

    fn counts(tally: &Tally) -> (u64, u64) {
        (Tally::read(&tally.malformed), Tally::read(&tally.oversized))
    }

    #[test]
    fn collects_in_order() {
        let (mut inbox, tally) = (Inbox::default(), Tally::default());
        assert!(inbox.event(event(2), &tally).is_none());
        assert!(inbox.binary(vec![1], &tally).is_none());
        assert_eq!(inbox.binary(vec![2], &tally).unwrap().attachments, [[1], [2]]);
        assert!(inbox.binary(vec![3], &tally).is_none());
        assert_eq!(counts(&tally), (1, 0));
    }

    #[test]
    fn drops_too_many_whole() {
        let (mut inbox, tally) = (Inbox::default(), Tally::default());
        assert!(inbox.event(event(5), &tally).is_none());
        for _ in 0..5 {
            assert!(inbox.binary(vec![1], &tally).is_none());
        }
        assert_eq!(counts(&tally), (0, 1));
        assert!(inbox.event(event(usize::MAX), &tally).is_none());
        assert!(inbox.event(event(0), &tally).is_some());
    }

    #[test]
    fn drops_too_large_whole() {
        let (mut inbox, tally) = (Inbox::default(), Tally::default());
        assert!(inbox.event(event(3), &tally).is_none());
        assert!(inbox.binary(vec![0; LARGEST_ATTACHMENTS], &tally).is_none());
        assert!(inbox.binary(vec![0], &tally).is_none());
        assert!(inbox.binary(vec![0], &tally).is_none());
        assert_eq!(counts(&tally), (0, 1));
        assert!(inbox.event(event(1), &tally).is_none());
        assert!(inbox.binary(vec![0; LARGEST_ATTACHMENTS], &tally).is_some());
    }

    #[test]
    fn an_event_that_never_got_its_parts_is_counted() {
        let (mut inbox, tally) = (Inbox::default(), Tally::default());
        assert!(inbox.event(event(1), &tally).is_none());
        assert!(inbox.event(event(0), &tally).is_some());
        assert_eq!(counts(&tally), (0, 1));
    }
}
