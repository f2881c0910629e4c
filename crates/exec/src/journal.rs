//! The record of what was begun and how it ended, synced before and after every step.
