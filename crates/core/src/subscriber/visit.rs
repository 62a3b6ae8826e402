//! The fields of spans and logs, as `tracing` visits them, on their way into words.
//!
//! Invariant: a value that is formatted runs code of its user. It does so into a buffer of its own where a span is
//! open, and into an [opened](crate::ring::Ring::open) frame where a log is written, so that nothing it records meanwhile
//! meets half a field.

use std::{error::Error, fmt};

use tracing_core::field::{Field, Visit};

use crate::{
    event::FieldValue,
    fields::scratch,
    ring::Writer,
    slab::{Found, Inline},
};

/// The field that forces a root span into the sample (`1`, `true`) or out of it (`0`, `false`).
const PRIORITY: &str = "sampling.priority";

/// What the field says about sampling, if it is [`PRIORITY`].
#[inline]
fn priority(field: &Field, value: &FieldValue<'_>) -> Option<bool> {
    let keep = match *value {
        FieldValue::Bool(value) => value,
        FieldValue::I64(value) => value > 0,
        FieldValue::U64(value) => value > 0,
        _ => return None,
    };
    (field.name() == PRIORITY).then_some(keep)
}

/// Writes fields into a vector, for spans that are not in a slab.
#[derive(Default)]
pub(crate) struct VectorVisitor {
    pub(crate) words: Vec<u64>,
    pub(crate) priority: Option<bool>,
}

impl VectorVisitor {
    fn field(&mut self, field: &Field, value: FieldValue<'_>) {
        self.priority = priority(field, &value).or(self.priority);
        // A vector takes every field.
        let _ = value.write(field.index() as u16, &mut self.words);
    }
}

/// Writes fields into the slot of a span that nobody else knows yet.
pub(super) struct SlotVisitor<'a> {
    pub(super) inline: Inline<'a>,
    pub(super) span: Found<'a>,
    /// Whether [`PRIORITY`] counts: only where a trace starts.
    pub(super) is_root: bool,
    pub(super) priority: Option<bool>,
}

impl SlotVisitor<'_> {
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the kind of value is known where it is called, which removes the match"
    )]
    fn write(&mut self, key: u16, value: FieldValue<'_>) {
        if matches!(value, FieldValue::Display(_)) || value.write(key, &mut self.inline).is_err() {
            self.write_far(key, &value);
        }
    }

    /// What is formatted, and what does not fit.
    #[inline(never)]
    fn write_far(&mut self, key: u16, value: &FieldValue<'_>) {
        scratch(|words| {
            // A vector takes every field.
            let _ = value.write(key, words);
            if !self.inline.append(words) {
                self.span.extra(words);
            }
        });
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `write`")]
    fn field(&mut self, field: &Field, value: FieldValue<'_>) {
        self.write(field.index() as u16, value);
        if self.is_root {
            self.look_for_priority(field, value);
        }
    }

    #[cold]
    #[inline(never)]
    fn look_for_priority(&mut self, field: &Field, value: FieldValue<'_>) {
        self.priority = priority(field, &value).or(self.priority);
    }
}

/// Adds fields to a span that is known, perhaps also to the very values that are being added.
pub(super) struct LateVisitor<'a> {
    pub(super) span: Found<'a>,
    pub(super) is_owner: bool,
}

impl LateVisitor<'_> {
    fn field(&mut self, field: &Field, value: FieldValue<'_>) {
        self.write(field.index() as u16, &value);
    }

    pub(super) fn write(&mut self, key: u16, value: &FieldValue<'_>) {
        if let Some((head, word)) = value.one_word(key)
            && self.is_inline()
            && self.span.replace(head, word)
        {
            return;
        }
        scratch(|words| {
            // A vector takes every field.
            let _ = value.write(key, words);
            let mut inline = self.span.inline();
            if self.is_inline() && inline.append(words) {
                inline.commit();
                self.span.amend();
            } else {
                self.span.extra(words);
            }
        });
    }

    /// Once there are fields in the side table, later ones go there too: the last value of a key counts.
    fn is_inline(&self) -> bool {
        self.is_owner && !self.span.has_extra()
    }
}

/// Writes fields into a lane.
pub(super) struct WriterVisitor<'w, 'r> {
    pub(super) writer: &'w mut Writer<'r>,
    pub(super) full: bool,
}

impl WriterVisitor<'_, '_> {
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the kind of value is known where it is called, which removes the match"
    )]
    fn field(&mut self, field: &Field, value: FieldValue<'_>) {
        self.full |= value.write(field.index() as u16, self.writer).is_err();
    }
}

macro_rules! visit {
    ($($visitor:ty),*) => { $(
        impl Visit for $visitor {
            #[inline]
            fn record_f64(&mut self, field: &Field, value: f64) {
                self.field(field, FieldValue::F64(value));
            }

            #[inline]
            fn record_i64(&mut self, field: &Field, value: i64) {
                self.field(field, FieldValue::I64(value));
            }

            #[inline]
            fn record_u64(&mut self, field: &Field, value: u64) {
                self.field(field, FieldValue::U64(value));
            }

            #[inline]
            fn record_bool(&mut self, field: &Field, value: bool) {
                self.field(field, FieldValue::Bool(value));
            }

            #[inline]
            fn record_str(&mut self, field: &Field, value: &str) {
                self.field(field, FieldValue::Str(value));
            }

            fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
                self.field(field, FieldValue::Display(format_args!("{}", Chain(value))));
            }

            #[inline]
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.field(field, FieldValue::Display(format_args!("{value:?}")));
            }
        }
    )* };
}

visit!(
    SlotVisitor<'_>,
    LateVisitor<'_>,
    WriterVisitor<'_, '_>,
    VectorVisitor
);

/// An error and what caused it, in one line.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
