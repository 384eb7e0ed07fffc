//! How long to wait before the next connection.

use std::time::Duration;

/// The first ceiling; it doubles with every connection that did not last.
const BASE: Duration = Duration::from_secs(1);
/// The last ceiling.
const CAP: Duration = Duration::from_mins(1);
/// No wait is shorter, so that a server that accepts and drops is not hammered.
const FLOOR: Duration = Duration::from_millis(500);
/// A connection that was live this long proves the server well; a shorter one proves nothing.
const STABLE: Duration = Duration::from_secs(30);

/// Backoff with full jitter: after an outage a thousand clients must not come back in step.
#[derive(Clone, Debug, Default)]
pub struct Reconnect {
    failures: u32,
}

impl Reconnect {
    /// The wait after a connection that was live for `lived` (zero when it never was), 0.5 s to 60 s.
    /// `random` is uniform in `[0, 1)`; anything else counts as the nearest of these.
    pub fn after(&mut self, lived: Duration, random: f64) -> Duration {
        if lived >= STABLE {
            self.failures = 0;
        }
        let factor = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let ceiling = BASE.saturating_mul(factor).min(CAP);
        let share = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
        ceiling.mul_f64(share).max(FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn doubles_to_the_cap() {
        let mut reconnect = Reconnect::default();
        let waits: Vec<u64> = (0..9).map(|_| reconnect.after(Duration::ZERO, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn resets_only_after_a_stable_connection() {
        let mut reconnect = Reconnect::default();
        for _ in 0..6 {
            reconnect.after(SECOND, 1.0);
        }
        assert_eq!(reconnect.after(Duration::from_millis(29_999), 1.0), 60 * SECOND);
        assert_eq!(reconnect.after(30 * SECOND, 1.0), SECOND);
        assert_eq!(reconnect.after(Duration::ZERO, 1.0), 2 * SECOND);
    }

    #[test]
    fn keeps_the_floor() {
        let mut reconnect = Reconnect::default();
        for _ in 0..20 {
            assert_eq!(reconnect.after(Duration::ZERO, 0.0), FLOOR);
        }
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds(lived in proptest::collection::vec(0_u64..100, 0..200), random in proptest::num::f64::ANY) {
            let mut reconnect = Reconnect::default();
            for lived in lived {
                let wait = reconnect.after(Duration::from_secs(lived), random);
                prop_assert!((FLOOR..=CAP).contains(&wait));
            }
        }
    }
}
