//! What is behind a trait object, for who must know it: the settings of a driver go over to one of the same kind only.

use std::any::Any;

/// Tells its own type. From Rust 1.86 on a trait object becomes one of [`Any`] by itself.
pub trait OwnType: Any {
    /// Returns itself as what can be asked for its type.
    fn own_type(&self) -> &dyn Any;
}

impl<T: Any> OwnType for T {
    fn own_type(&self) -> &dyn Any {
        self
    }
}
