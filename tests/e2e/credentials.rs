//! Tokens that expire, passwords that change, Secrets that are not usable.
