//! The closed set of reasons, for conditions and Events alike.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident),* $(,)?) => {
        /// Why a condition stands, or an Event was sent. One word, stable, fit for scripts and alerts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word, as Kubernetes shows it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// What it means, for the reference.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)*
                }
            }
        }
    };
}

reasons! {
    /// The remote session is being created.
    Creating,
    /// The remote session was created.
    Created,
    /// An existing remote session was taken over.
    Adopted,
    /// The remote session is being connected.
    Connecting,
    /// A phone is linked and online, as declared.
    Connected,
    /// Disconnecting as declared.
    Disconnecting,
    /// Disconnected.
    Disconnected,
    /// The provider or Kubernetes failed; it is tried again.
    Retrying,
    /// The provider asked for a pause.
    Throttled,
    /// A QR code is on show.
    AwaitingScan,
    /// A QR code is on show at the provider's dashboard only.
    AwaitingDashboardScan,
    /// Nobody scanned in time, or pairing waits for a request.
    PairingRequired,
    /// The phone's owner removed the link.
    LoggedOut,
    /// The phone number is banned.
    Banned,
    /// Another client took the session over.
    Replaced,
    /// The account does not exist, is not ready, or is stalled.
    AccountNotReady,
    /// The spec asks for something that cannot be done.
    InvalidRequest,
    /// The provider denied permission.
    PermissionDenied,
    /// Another session has this name.
    NameConflict,
    /// Several remote sessions could be the one that was created.
    AmbiguousCreate,
    /// Another object manages this remote session.
    SessionClaimed,
    /// The remote session does not exist.
    Missing,
    /// The Secret for the QR belongs to somebody else.
    SecretConflict,
    /// The plan has no free session slot.
    QuotaExceeded,
    /// The plan's API requests are used up.
    RequestQuotaExceeded,
    /// The operator was not allowed to do this by its flags.
    NotAllowed,
    /// Frozen by `spec.suspend`.
    Suspended,
    /// No longer frozen.
    Resumed,
    /// Being deleted.
    Deleting,
    /// Deletion waits for something.
    DeletionBlocked,
    /// The deadline of a deletion passed: the remote side was left as it was.
    DeletionGaveUp,
    /// Not yet created.
    NotProvisioned,
    /// The account works.
    Ready,
    /// The credentials Secret does not exist.
    SecretNotFound,
    /// The credentials Secret has another type.
    SecretTypeInvalid,
    /// The credentials Secret lacks a key.
    SecretKeyMissing,
    /// The provider refused the credentials.
    CredentialsInvalid,
    /// An API key alone cannot change anything.
    ReadOnlyCredentials,
    /// The subscription is not active.
    SubscriptionInactive,
    /// The base URL is not https.
    InsecureUrl,
    /// The base URL's host is not on the operator's list.
    HostNotAllowed,
    /// The event stream is up and understood.
    Live,
    /// The event stream is down.
    Offline,
    /// The event stream is switched off.
    Disabled,
    /// Changes happen that no event announced.
    NotUnderstood,
    /// Nothing is wrong.
    AsDeclared,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
