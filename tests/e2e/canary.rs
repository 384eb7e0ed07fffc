//! No token, password, QR or pairing code where it does not belong.
