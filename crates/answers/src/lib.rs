//! Pure functions from telemetry to answers: why, memory, queue, compare.
