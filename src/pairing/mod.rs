//! From a received code to pictures.
