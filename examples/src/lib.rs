//! One example a task, all run in CI.
