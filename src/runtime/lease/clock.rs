//! The clock that leases are measured with.

use std::{sync::Arc, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// Time since some instant; tests bring their own.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Goes on while the machine is suspended, which `Instant` does not on Linux; on macOS it is the monotonic clock that does.
#[cfg(target_os = "linux")]
const SINCE_BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

/// The machine's, counting the time that it was suspended.
#[must_use]
pub fn boot_clock() -> Clock {
    Arc::new(|| Duration::try_from(clock_gettime(SINCE_BOOT)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on() {
        let clock = boot_clock();
        let before = clock();
        assert!(before > Duration::ZERO);
        while clock() == before {}
        assert!(clock() > before);
    }
}
