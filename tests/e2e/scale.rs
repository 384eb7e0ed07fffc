//! Many sessions cost one sweep and, once settled, nothing.
