//! Codes are shown in a window, in our own Secret, and no longer than needed.
