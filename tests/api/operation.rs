//! Health, metrics, and what happens at a stop.
