//! `Debug` for types whose content must never appear in a log.

/// Implements `Debug` for each type as `Name[sealed]`, so that no log shows its content.
macro_rules! sealed_debug {
    ($($name:ident),* $(,)?) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "[sealed]"))
            }
        }
    )*};
}
pub(crate) use sealed_debug;
