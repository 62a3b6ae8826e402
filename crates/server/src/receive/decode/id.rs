//! Identifiers as they were given: none, one, or something else.

use super::text;

/// An identifier as it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Id<const N: usize> {
    /// None, or all zero, which says the same.
    #[default]
    Missing,
    /// Something else.
    Wrong,
    /// This one.
    Is([u8; N]),
}

impl<const N: usize> Id<N> {
    /// From bytes, as protobuf has it.
    #[inline]
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        match <[u8; N]>::try_from(bytes) {
            Ok(id) if id != [0; N] => Self::Is(id),
            Err(_) if !bytes.is_empty() => Self::Wrong,
            _ => Self::Missing,
        }
    }

    /// From hexadecimal text, as JSON has it.
    pub(super) fn from_hex(text: &str) -> Self {
        match text::from_hex::<N>(text) {
            Some(id) => Self::from_bytes(&id),
            None if text.is_empty() => Self::Missing,
            None => Self::Wrong,
        }
    }

    /// The identifier, where there is one.
    pub(super) const fn get(self) -> Option<[u8; N]> {
        match self {
            Self::Is(id) => Some(id),
            Self::Missing | Self::Wrong => None,
        }
    }
}
