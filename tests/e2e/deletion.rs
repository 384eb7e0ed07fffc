//! Letting go: always ends, and takes with it what it must.
