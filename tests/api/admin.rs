//! The administrator's resources.
