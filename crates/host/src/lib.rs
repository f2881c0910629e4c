//! THIS MACHINE. Mounts, holders, shares, services, addresses, and the assets that change hands.
//!
//! Start reading at [`config`] (what people write), then [`asset`] (what changes hands). Every
//! command runs through `orderly_exec::runner::Run`, so a test or a dry run can stand in for it.

pub mod asset;
pub mod config;
pub mod hostid;
pub mod mountinfo;
pub mod services;
