//! What the macros refuse: see `tests/`.
