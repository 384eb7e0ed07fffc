//! Killed at any point and started again: one remote session, Ready in the end.
