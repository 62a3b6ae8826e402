//! Leaks, heaps and queues that are simulated, so that the truth is known.
