//! The two ways in which what moves with the asset can go.

use serde::{Deserialize, Serialize};

/// Which way a part goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Take,
    LetGo,
}
