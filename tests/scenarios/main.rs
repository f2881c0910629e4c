//! Scenarios that run the real programs.
