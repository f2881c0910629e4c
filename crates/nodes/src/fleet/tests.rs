//! Tests of the drivers against real processes.
