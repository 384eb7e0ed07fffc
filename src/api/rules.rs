//! CEL rules that several fields share or that are too long to read between attributes.

/// A name that an object of Kubernetes can have (a DNS subdomain).
pub(super) const OBJECT_NAME: &str =
    "self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')";

/// The form comes first: `duration()` of anything else is an error that names the function, not the mistake. The number
/// of digits is bounded so that no value overflows it.
pub(super) const DURATION: &str = "self.matches('^([0-9]{1,6}(ms|s|m|h))+$') && duration(self) >= duration('10s') && duration(self) <= duration('24h')";

/// An account does not ask more often when there is less to see. Silent while one of the two is no duration.
pub(super) const SETTLED_NOT_SHORTER: &str = "!has(self.spec.settledPollInterval) || !has(self.spec.pollInterval) || \
    !self.spec.settledPollInterval.matches('^([0-9]{1,6}(ms|s|m|h))+$') || \
    !self.spec.pollInterval.matches('^([0-9]{1,6}(ms|s|m|h))+$') || \
    duration(self.spec.settledPollInterval) >= duration(self.spec.pollInterval)";

/// A remote name: words with one space between them. Other separators of Unicode count as spaces, because names are
/// compared trimmed.
pub(super) const NAME: &str = r"self.matches('^[^\\s\\p{Z}\\p{Cc}]+(\\p{Zs}[^\\s\\p{Z}\\p{Cc}]+)*$')";

/// The same for what comes before it: may be empty and may end in a space.
pub(super) const NAME_PREFIX: &str = r"self.matches('^([^\\s\\p{Z}\\p{Cc}]+(\\p{Zs}[^\\s\\p{Z}\\p{Cc}]+)*\\p{Zs}?)?$')";

/// The shape of a URL, for what the other rules of the field leave. A path of `.` or `..` would be resolved away.
pub(super) const BASE_URL: &str = "!self.matches('^https?://') || self.matches('[@?#]') || \
    (self.matches('^https?://[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\
(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?(/[A-Za-z0-9._~-]+)*/?$') && \
    !self.matches('/[.]{1,2}(/|$)'))";

/// Where the event stream is, below the base URL's host.
pub(super) const EVENTS_PATH: &str =
    "self.matches('^/[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?$') && !self.matches('/[.]{1,2}(/|$)')";

/// Looks at changes of the spec only: the write that records the id of a session just created must never be refused,
/// or the session would be lost.
pub(super) const SAME_SESSION_ID: &str = "!has(self.spec.sessionId) || \
    (has(oldSelf.spec.sessionId) && self.spec.sessionId == oldSelf.spec.sessionId) || \
    !has(oldSelf.status) || !has(oldSelf.status.sessionId) || self.spec.sessionId == oldSelf.status.sessionId";
