//! What the macros refuse, and what they must not: see `tests/`.
