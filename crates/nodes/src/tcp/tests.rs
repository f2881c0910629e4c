//! Tests of TCP probes against real sockets.
