//! Labels as text: `{app="shop", env="test"}`, values as Go's `strconv.Quote` writes them.

use std::borrow::Cow;

use super::Unreadable;

/// Hands each label to `take`.
pub(super) fn each<'a>(
    text: &'a str,
    mut take: impl FnMut(Cow<'a, str>, Cow<'a, str>),
) -> Result<(), Unreadable> {
    let malformed = || Unreadable::Malformed("labels are not {name=\"value\"}".to_owned());
    let inside = text.trim().strip_prefix('{');
    let inside = inside.and_then(|rest| rest.strip_suffix('}'));
    let mut rest = inside.ok_or_else(malformed)?.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(malformed)?;
        let quoted = after.trim_start().strip_prefix('"').ok_or_else(malformed)?;
        let (value, after) = unquoted(quoted).ok_or_else(malformed)?;
        take(Cow::Borrowed(name.trim()), value);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return Err(malformed()),
        };
    }
    Ok(())
}

/// What is between quotes, and what follows the second one.
fn unquoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut out = text[..end].to_owned();
    let mut letters = text[end..].char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((Cow::Owned(out), &text[end + at + 1..])),
            '\\' => out.push(escaped(&mut letters)?),
            letter => out.push(letter),
        }
    }
    None
}

fn escaped(letters: &mut std::str::CharIndices<'_>) -> Option<char> {
    let (_, letter) = letters.next()?;
    let mut hexadecimal = |digits| {
        let mut number = 0;
        for _ in 0..digits {
            let (_, digit) = letters.next()?;
            number = number << 4 | digit.to_digit(16)?;
        }
        // A byte that is no letter of its own is U+FFFD, as everywhere.
        Some(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER))
    };
    match letter {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'x' => hexadecimal(2),
        'u' => hexadecimal(4),
        'U' => hexadecimal(8),
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'v' => Some('\u{b}'),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<(String, String)>> {
        let mut labels = Vec::new();
        each(text, |name, value| {
            labels.push((name.into_owned(), value.into_owned()));
        })
        .ok()?;
        Some(labels)
    }

    #[test]
    fn labels_are_names_and_quoted_values() {
        let labels = read(r#"{app="shop", path = "a\"b\\c\u00e9\n,}" ,x=""}"#).unwrap();
        let expected = [("app", "shop"), ("path", "a\"b\\cé\n,}"), ("x", "")];
        assert_eq!(
            labels,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(read("{}"), Some(Vec::new()));
        for wrong in [
            "",
            "{",
            "a=\"b\"",
            "{a}",
            "{a=b}",
            "{a=\"b}",
            "{a=\"b\" c=\"d\"}",
            "{a=\"\\u12\"}",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
