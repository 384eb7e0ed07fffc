//! Operator.
fn main() {}
