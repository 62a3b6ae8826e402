//! Radiosonde beside its peers, in one run.
