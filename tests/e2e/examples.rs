//! Every example is applied as it stands and reaches its state.
