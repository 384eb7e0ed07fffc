//! Each error of the provider: what is said, and what happens next.
