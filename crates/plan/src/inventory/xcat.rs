//! placeholder
use super::Inventory;
use crate::diagnostic::{Diagnostics, Source};
pub(super) fn read(source: Source<'_>) -> Result<Inventory, Diagnostics> {
    super::json::read(source)
}
