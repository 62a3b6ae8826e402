//! Where messages end that come over a stream (RFC 6587): each has its length before it, or ends with a line. Which it is, the
//! first byte says: a message begins with `<`.

/// Longest message. Others take 8 KiB (RFC 5425, section 4.3.1, asks for 2 KiB).
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Most digits of a length.
const DIGITS_MAX: usize = 5;

/// What is at the beginning of what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A message, and how many bytes it takes with all that is around it.
    Whole(&'a [u8], usize),
    /// Not all of a message.
    Cut,
    /// What can be no message, or one that is too long: where the next begins cannot be told.
    Wrong,
}

/// Looks for a message.
pub(crate) fn first(bytes: &[u8]) -> Frame<'_> {
    match bytes.first() {
        None => Frame::Cut,
        Some(b'0'..=b'9') => counted(bytes),
        Some(_) => line(bytes),
    }
}

fn counted(bytes: &[u8]) -> Frame<'_> {
    let digits = bytes.iter().position(|byte| !byte.is_ascii_digit());
    let Some(digits) = digits else {
        return if bytes.len() > DIGITS_MAX {
            Frame::Wrong
        } else {
            Frame::Cut
        };
    };
    let (number, rest) = bytes.split_at(digits);
    let length = std::str::from_utf8(number)
        .ok()
        .filter(|number| number.len() <= DIGITS_MAX)
        .and_then(|number| number.parse::<usize>().ok());
    let rest = rest.strip_prefix(b" ");
    match (length, rest) {
        (Some(length @ 1..=MESSAGE_BYTES_MAX), Some(rest)) => {
            rest.get(..length).map_or(Frame::Cut, |message| {
                Frame::Whole(message, digits + 1 + length)
            })
        }
        _ => Frame::Wrong,
    }
}

fn line(bytes: &[u8]) -> Frame<'_> {
    // Some end with a zero, which some have before the end of the line.
    let end = bytes.iter().position(|byte| matches!(byte, b'\n' | 0));
    match end {
        Some(end) if end <= MESSAGE_BYTES_MAX => Frame::Whole(&bytes[..end], end + 1),
        None if bytes.len() <= MESSAGE_BYTES_MAX => Frame::Cut,
        _ => Frame::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut bytes: &[u8]) -> (Vec<String>, Frame<'_>) {
        let mut messages = Vec::new();
        loop {
            match first(bytes) {
                Frame::Whole(message, taken) => {
                    messages.push(String::from_utf8(message.to_vec()).unwrap());
                    bytes = &bytes[taken..];
                }
                other => return (messages, other),
            }
        }
    }

    #[test]
    fn messages_have_their_length_before_them_or_end_with_a_line() {
        let (messages, left) = all(b"5 <1>ab<2>c\n7 <3>d\ne\n<4>f\0\n<5>g");
        assert_eq!(messages, ["<1>ab", "<2>c", "<3>d\ne\n", "<4>f", ""]);
        assert_eq!(left, Frame::Cut);
        for cut in [&b""[..], b"1", b"12345", b"12 <1>", b"<1>a"] {
            assert_eq!(first(cut), Frame::Cut, "{cut:?}");
        }
        let long = vec![b'a'; MESSAGE_BYTES_MAX + 1];
        for wrong in [&b"0 a"[..], b"123456", b"12a", b"99999 a", &long] {
            assert_eq!(first(wrong), Frame::Wrong);
        }
    }
}
