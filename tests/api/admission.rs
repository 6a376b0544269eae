//! Admission: limits, quotas and the headers that tell of them.
