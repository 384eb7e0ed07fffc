//! Every way in which a provider may send a code ends in the same Secret.
