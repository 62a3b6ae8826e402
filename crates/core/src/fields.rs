//! Typed fields as 64-bit words: how attribute values travel from the caller to the pump.
//!
//! A field is one header word and its payload. The header holds the [`Tag`] in bits 0-7, the key in bits 8-23
//! and a length in bits 32-63 (bytes of text, or the number of integers). Text is padded to whole words.
//! A key is an index into the names that stay behind the record's static description, but for [`KEY_LINK`] and
//! [`KEY_INLINE`], which takes its name from the `Tag::Name` field before it.
//!
//! Invariant: decoding never reads past the words it was given and never panics, whatever they hold.

mod buffer;

use std::fmt::{self, Write as _};

pub(crate) use self::buffer::{FieldBuffer, scratch};

/// A link to another span: three integers, the trace's upper and lower half and the span.
pub(crate) const KEY_LINK: u16 = 0xff01;
/// Named by the `Tag::Name` field before it.
pub(crate) const KEY_INLINE: u16 = 0xffff;

/// Longest text kept of one value. The rest is cut at a character boundary, and `…` at the end, within the limit, says so.
/// Text that is formatted is cut where it leaves no room for that sign.
pub const TEXT_BYTES_MAX: usize = 32 * 1024;

/// What cut text ends with.
const CUT: &str = "…";
/// What is kept of text that is cut.
const KEPT_BYTES_MAX: usize = TEXT_BYTES_MAX - CUT.len();

/// The sink had no room; the field is not in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A sequence of words that is being written: a slab slot, a lane, or a vector.
pub(crate) trait Words {
    /// Appends a word.
    fn push(&mut self, word: u64) -> Result<(), Full>;
    /// Words so far.
    fn position(&self) -> usize;
    /// Replaces the word at `position`, which was pushed before.
    fn set(&mut self, position: usize, word: u64);
    /// Forgets everything from `position` on.
    fn rewind(&mut self, position: usize);
}

impl Words for Vec<u64> {
    fn push(&mut self, word: u64) -> Result<(), Full> {
        Vec::push(self, word);
        Ok(())
    }

    fn position(&self) -> usize {
        self.len()
    }

    fn set(&mut self, position: usize, word: u64) {
        self[position] = word;
    }

    fn rewind(&mut self, position: usize) {
        self.truncate(position);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    Bool = 1,
    I64 = 2,
    U64 = 3,
    F64 = 4,
    Text = 5,
    U64s = 6,
    Shapes = 7,
    Name = 8,
}

const fn header(tag: Tag, key: u16, length: usize) -> u64 {
    tag as u64 | (key as u64) << 8 | (length as u64) << 32
}

/// The key in a field's head.
#[inline]
pub(crate) const fn key(head: u64) -> u16 {
    (head >> 8) as u16
}

/// Words of the field with this head, the head among them.
#[inline]
pub(crate) const fn field_words(head: u64) -> usize {
    let (tag, length) = (head as u8, (head >> 32) as usize);
    1 + if tag == Tag::Bool as u8 {
        0
    } else if tag == Tag::Text as u8 || tag == Tag::Name as u8 {
        length.div_ceil(8)
    } else if tag == Tag::U64s as u8 || tag == Tag::Shapes as u8 {
        length
    } else {
        1
    }
}

/// A field's value, borrowed from the record that carries it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A floating-point number; may be infinite or not a number.
    F64(f64),
    /// Text.
    Str(&'a str),
    /// Unsigned integers, for example one tensor's shape.
    U64s(&'a [u64]),
    /// Several lists of unsigned integers, for example the shapes of an operation's inputs.
    Shapes(Shapes<'a>),
}

/// Several lists of integers, laid end to end, each behind its length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shapes<'a>(&'a [u64]);

impl<'a> Shapes<'a> {
    /// The lists, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u64]> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (&length, tail) = rest.split_first()?;
            let (list, tail) = tail.split_at_checked(usize::try_from(length).ok()?)?;
            rest = tail;
            Some(list)
        })
    }
}

/// The head of a field of one word, and that word; `None` for any other value.
#[inline]
pub(crate) fn one_word(key: u16, value: ValueRef<'_>) -> Option<(u64, u64)> {
    match value {
        ValueRef::I64(value) => Some((header(Tag::I64, key, 0), value as u64)),
        ValueRef::U64(value) => Some((header(Tag::U64, key, 0), value)),
        ValueRef::F64(value) => Some((header(Tag::F64, key, 0), value.to_bits())),
        _ => None,
    }
}

/// Writes fields to a sink. Each call appends one whole field or nothing, unless a value panics: then the sink is
/// given up by its owner.
pub(crate) struct FieldWriter<'w, W: Words>(pub(crate) &'w mut W);

impl<W: Words> FieldWriter<'_, W> {
    #[inline]
    fn one(&mut self, tag: Tag, key: u16, word: u64) -> Result<(), Full> {
        let start = self.0.position();
        self.0.push(header(tag, key, 0))?;
        self.0.push(word).inspect_err(|_| self.0.rewind(start))
    }

    #[inline]
    pub(crate) fn bool(&mut self, key: u16, value: bool) -> Result<(), Full> {
        self.0.push(header(Tag::Bool, key, usize::from(value)))
    }

    #[inline]
    pub(crate) fn i64(&mut self, key: u16, value: i64) -> Result<(), Full> {
        self.one(Tag::I64, key, value as u64)
    }

    #[inline]
    pub(crate) fn u64(&mut self, key: u16, value: u64) -> Result<(), Full> {
        self.one(Tag::U64, key, value)
    }

    #[inline]
    pub(crate) fn f64(&mut self, key: u16, value: f64) -> Result<(), Full> {
        self.one(Tag::F64, key, value.to_bits())
    }

    #[inline]
    pub(crate) fn text(&mut self, key: u16, value: &str) -> Result<(), Full> {
        self.tagged_text(Tag::Text, key, value)
    }

    /// Names the next field, which must be written with [`KEY_INLINE`].
    pub(crate) fn name(&mut self, name: &str) -> Result<(), Full> {
        self.tagged_text(Tag::Name, KEY_INLINE, name)
    }

    #[inline]
    fn tagged_text(&mut self, tag: Tag, key: u16, value: &str) -> Result<(), Full> {
        if value.len() > TEXT_BYTES_MAX {
            return self.formatted(tag, key, format_args!("{value}"));
        }
        let start = self.0.position();
        let mut write = || {
            self.0.push(header(tag, key, value.len()))?;
            let (whole, tail) = value.as_bytes().as_chunks::<8>();
            for chunk in whole {
                self.0.push(u64::from_ne_bytes(*chunk))?;
            }
            if tail.is_empty() {
                Ok(())
            } else {
                self.0.push(partial_word(tail))
            }
        };
        write().inspect_err(|_| self.0.rewind(start))
    }

    pub(crate) fn u64s(&mut self, key: u16, values: &[u64]) -> Result<(), Full> {
        let start = self.0.position();
        let mut write = || {
            self.0.push(header(Tag::U64s, key, values.len()))?;
            values.iter().try_for_each(|&value| self.0.push(value))
        };
        write().inspect_err(|_| self.0.rewind(start))
    }

    pub(crate) fn shapes(&mut self, key: u16, shapes: &[&[u64]]) -> Result<(), Full> {
        let start = self.0.position();
        let words = shapes.iter().map(|shape| shape.len() + 1).sum();
        let mut write = || {
            self.0.push(header(Tag::Shapes, key, words))?;
            for shape in shapes {
                self.0.push(shape.len() as u64)?;
                shape.iter().try_for_each(|&value| self.0.push(value))?;
            }
            Ok(())
        };
        write().inspect_err(|_| self.0.rewind(start))
    }

    /// Formats `value` straight into the sink: no allocation.
    pub(crate) fn display(&mut self, key: u16, value: fmt::Arguments<'_>) -> Result<(), Full> {
        self.formatted(Tag::Text, key, value)
    }

    fn formatted(&mut self, tag: Tag, key: u16, value: fmt::Arguments<'_>) -> Result<(), Full> {
        let start = self.0.position();
        self.0.push(header(tag, key, 0))?;
        let mut text = TextWriter {
            words: &mut *self.0,
            bytes: 0,
            bytes_max: KEPT_BYTES_MAX,
            pending: [0; 8],
            full: false,
        };
        // A `Display` that fails leaves what it wrote so far, which is what its author would see too.
        let _ = text.write_fmt(value);
        let (bytes, full) = text.finish();
        if full {
            self.0.rewind(start);
            return Err(Full);
        }
        self.0.set(start, header(tag, key, bytes));
        Ok(())
    }
}

/// Up to seven bytes as a word that starts with them in memory and ends with zeros. Put together in a register:
/// bytes that are copied to the stack one way and read back another wait for each other.
#[inline]
fn partial_word(tail: &[u8]) -> u64 {
    let low = |bytes: [u8; 4]| u64::from(u32::from_le_bytes(bytes));
    let word = match (tail.first_chunk(), tail.last_chunk(), tail) {
        // Four to seven: two halves, whose bytes in common are the same in both.
        (Some(&first), Some(&last), _) => low(first) | low(last) << (8 * (tail.len() - 4)),
        (_, _, &[a, b, c]) => low([a, b, c, 0]),
        (_, _, &[a, b]) => low([a, b, 0, 0]),
        (_, _, &[a]) => u64::from(a),
        _ => 0,
    };
    word.to_le()
}

struct TextWriter<'w, W: Words> {
    words: &'w mut W,
    bytes: usize,
    /// 0 once the text was cut, so that nothing follows the sign.
    bytes_max: usize,
    pending: [u8; 8],
    full: bool,
}

impl<W: Words> TextWriter<'_, W> {
    fn finish(mut self) -> (usize, bool) {
        let used = self.bytes % 8;
        if used != 0 && !self.full {
            self.full = self
                .words
                .push(partial_word(&self.pending[..used]))
                .is_err();
        }
        (self.bytes, self.full)
    }

    #[inline]
    fn push(&mut self, word: [u8; 8]) -> fmt::Result {
        self.words.push(u64::from_ne_bytes(word)).map_err(|Full| {
            self.full = true;
            fmt::Error
        })
    }
}

impl<W: Words> fmt::Write for TextWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.bytes_max.saturating_sub(self.bytes) {
            self.put(text)
        } else {
            self.put_cut(text)
        }
    }
}

impl<W: Words> TextWriter<'_, W> {
    /// Writes what fits of a text that does not, and the sign that says so.
    #[cold]
    fn put_cut(&mut self, text: &str) -> fmt::Result {
        if self.bytes_max > 0 {
            let room = self.bytes_max - self.bytes;
            self.bytes_max = 0;
            self.put(&text[..text.floor_char_boundary(room)])?;
            self.put(CUT)?;
        }
        Err(fmt::Error)
    }

    #[inline]
    fn put(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        // Whole words go straight to the sink; only what is left of a piece waits for the next one.
        while let Some((&byte, after)) = rest.split_first() {
            if self.bytes.is_multiple_of(8)
                && let Some((&word, after)) = rest.split_first_chunk()
            {
                self.push(word)?;
                self.bytes += 8;
                rest = after;
                continue;
            }
            self.pending[self.bytes % 8] = byte;
            self.bytes += 1;
            rest = after;
            if self.bytes.is_multiple_of(8) {
                self.push(self.pending)?;
            }
        }
        Ok(())
    }
}

/// A decoded field: its key and value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RawField<'a> {
    pub(crate) key: u16,
    /// The name, where the key is [`KEY_INLINE`].
    pub(crate) name: Option<&'a str>,
    pub(crate) value: ValueRef<'a>,
}

/// Reads fields back. Stops at the first word that cannot be a field.
#[derive(Clone, Debug)]
pub(crate) struct FieldReader<'a>(pub(crate) &'a [u64]);

impl<'a> FieldReader<'a> {
    #[inline]
    fn take(&mut self, words: usize) -> Option<&'a [u64]> {
        let (taken, rest) = self.0.split_at_checked(words)?;
        self.0 = rest;
        Some(taken)
    }

    #[inline]
    fn text(&mut self, bytes: usize) -> Option<&'a str> {
        let words = self.take(bytes.div_ceil(8))?;
        // SAFETY: any initialised words are valid bytes, `u8` has no alignment, and the view covers
        // exactly the words' memory for the same lifetime.
        let view =
            unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), words.len() * 8) };
        Some(std::str::from_utf8(&view[..bytes]).unwrap_or("\u{fffd}"))
    }

    /// Every field, handed to `visit`: the compiler sees reader and visitor as one loop, which an iterator's `next`
    /// does not allow.
    #[inline]
    pub(crate) fn visit(mut self, mut visit: impl FnMut(RawField<'a>)) {
        while let Some(field) = self.field() {
            visit(field);
        }
    }

    /// The keys alone, without a look at the values.
    pub(crate) fn keys(mut self) -> impl Iterator<Item = u16> + use<'a> {
        std::iter::from_fn(move || {
            loop {
                let head = *self.0.first()?;
                Self::take(&mut self, field_words(head))?;
                if head as u8 != Tag::Name as u8 {
                    return Some(key(head));
                }
            }
        })
    }

    /// The words of each field that has no name of its own, and its key, without a look at the value. Equal words are equal
    /// values.
    pub(crate) fn pieces(mut self) -> impl Iterator<Item = (u16, &'a [u64])> + use<'a> {
        std::iter::from_fn(move || {
            loop {
                let head = *self.0.first()?;
                if !(Tag::Bool as u8..=Tag::Name as u8).contains(&(head as u8)) {
                    return None;
                }
                let words = Self::take(&mut self, field_words(head))?;
                if head as u8 != Tag::Name as u8 {
                    return Some((key(head), words));
                }
            }
        })
    }

    #[inline]
    fn field(&mut self) -> Option<RawField<'a>> {
        let mut name = None;
        loop {
            let head = self.take(1)?[0];
            let (tag, key, length) = (head as u8, (head >> 8) as u16, (head >> 32) as usize);
            let value = match tag {
                t if t == Tag::Bool as u8 => ValueRef::Bool(length != 0),
                t if t == Tag::I64 as u8 => ValueRef::I64(self.take(1)?[0] as i64),
                t if t == Tag::U64 as u8 => ValueRef::U64(self.take(1)?[0]),
                t if t == Tag::F64 as u8 => ValueRef::F64(f64::from_bits(self.take(1)?[0])),
                t if t == Tag::Text as u8 => ValueRef::Str(self.text(length)?),
                t if t == Tag::U64s as u8 => ValueRef::U64s(self.take(length)?),
                t if t == Tag::Shapes as u8 => ValueRef::Shapes(Shapes(self.take(length)?)),
                t if t == Tag::Name as u8 => {
                    name = Some(self.text(length)?);
                    continue;
                }
                _ => return None,
            };
            return Some(RawField { key, name, value });
        }
    }
}

impl<'a> Iterator for FieldReader<'a> {
    type Item = RawField<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawField<'a>> {
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        field
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_partial_word_holds_its_bytes_in_order() {
        for length in 1..8 {
            let bytes: Vec<u8> = (1..=length).collect();
            let mut expected = [0; 8];
            expected[..bytes.len()].copy_from_slice(&bytes);
            assert_eq!(partial_word(&bytes).to_ne_bytes(), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]
        #[test]
        fn text_in_pieces_reads_back_whole(pieces in proptest::collection::vec("[a-zé]{0,20}", 0..6)) {
            let mut words = Vec::new();
            let shown = std::fmt::from_fn(|f| pieces.iter().try_for_each(|piece| f.write_str(piece)));
            FieldWriter(&mut words).display(3, format_args!("{shown}")).unwrap();
            let field = FieldReader(&words).next();
            let text = pieces.concat();
            prop_assert_eq!(field.map(|field| field.value), Some(ValueRef::Str(&text)));
            prop_assert_eq!(words.len(), 1 + text.len().div_ceil(8));
        }
    }

    #[test]
    fn every_kind_of_field_reads_back() {
        let mut words = Vec::new();
        let mut writer = FieldWriter(&mut words);
        writer.bool(0, true).unwrap();
        writer.i64(1, -5).unwrap();
        writer.u64(2, u64::MAX).unwrap();
        writer.f64(3, 0.5).unwrap();
        writer.text(4, "twelve bytes").unwrap();
        writer.u64s(5, &[1, 4096]).unwrap();
        writer.shapes(6, &[&[2, 3], &[], &[7]]).unwrap();
        writer
            .display(7, format_args!("{:?}", "quoted text"))
            .unwrap();
        writer.name("gpu.op").unwrap();
        writer.text(KEY_INLINE, "").unwrap();
        let fields: Vec<_> = FieldReader(&words).collect();
        let values: Vec<_> = fields.iter().map(|field| field.value).collect();
        assert_eq!(
            values[..6],
            [
                ValueRef::Bool(true),
                ValueRef::I64(-5),
                ValueRef::U64(u64::MAX),
                ValueRef::F64(0.5),
                ValueRef::Str("twelve bytes"),
                ValueRef::U64s(&[1, 4096]),
            ]
        );
        let ValueRef::Shapes(shapes) = values[6] else {
            panic!("{values:?}")
        };
        assert_eq!(shapes.iter().collect::<Vec<_>>(), [&[2, 3][..], &[], &[7]]);
        assert_eq!(values[7], ValueRef::Str("\"quoted text\""));
        assert_eq!(
            (fields[8].name, fields[8].value),
            (Some("gpu.op"), ValueRef::Str(""))
        );
        assert_eq!(fields.len(), 9);
    }

    #[test]
    fn long_text_is_cut_at_a_character_and_says_so() {
        let text = "é".repeat(TEXT_BYTES_MAX);
        let mut words = Vec::new();
        FieldWriter(&mut words).text(0, &text).unwrap();
        FieldWriter(&mut words)
            .display(1, format_args!("x{text}"))
            .unwrap();
        let mut pieces = FieldWriter(&mut words);
        pieces.display(2, format_args!("{Pieces}")).unwrap();
        for field in FieldReader(&words) {
            let ValueRef::Str(kept) = field.value else {
                panic!("{field:?}")
            };
            assert!(kept.len() >= TEXT_BYTES_MAX - 2 && kept.len() <= TEXT_BYTES_MAX);
            assert!(kept.ends_with("é…"));
            assert_eq!(kept.matches('…').count(), 1);
        }
        let (fits, mut words) = ("x".repeat(TEXT_BYTES_MAX), Vec::new());
        FieldWriter(&mut words).text(0, &fits).unwrap();
        let field = FieldReader(&words).next().unwrap();
        assert_eq!(field.value, ValueRef::Str(&fits));
    }

    /// Goes on writing after it was told to stop.
    struct Pieces;

    impl fmt::Display for Pieces {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for _ in 0..TEXT_BYTES_MAX {
                let _ = f.write_str("éé");
            }
            Ok(())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]
        #[test]
        fn arbitrary_words_never_panic(words in proptest::collection::vec(any::<u64>(), 0..64)) {
            for field in FieldReader(&words) {
                if let ValueRef::Shapes(shapes) = field.value {
                    shapes.iter().for_each(drop);
                }
            }
        }
    }
}
