//! THIS MACHINE. Mounts, holders, shares, services, addresses, and the assets that change hands.
//!
//! Start reading at [`config`] (what people write), then [`asset`] (what changes hands), then
//! [`executor`] (how steps are carried out) and [`action`] (what they do). Every command runs through
//! `orderly_exec::runner::Run`, so a test or a dry run can stand in for it.

pub mod action;
pub mod answer;
pub mod asset;
pub mod backup;
pub mod boot;
pub mod config;
pub mod config_report;
pub mod event;
pub mod exclude;
pub mod executor;
pub mod flags;
pub mod handover;
pub mod holders;
pub mod host;
pub mod hostid;
pub mod kill;
pub mod last_release;
pub mod ledger;
pub mod mnttab;
pub mod mountinfo;
pub mod mounts;
pub mod parts;
pub mod platform;
pub mod preflight;
mod proved;
pub mod records;
pub mod reservations;
pub mod runs;
pub mod sample;
pub mod state;
pub mod status_report;
pub mod steps;
