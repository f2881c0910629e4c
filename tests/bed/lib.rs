//! The bed every scenario lies in.
