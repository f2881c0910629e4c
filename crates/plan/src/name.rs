//! Names as the sequence grammar allows them.
