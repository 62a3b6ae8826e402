//! Base64 (RFC 4648): credentials in the standard alphabet, parts of URLs in the one that is safe there.

/// The last two letters of the alphabet.
const STANDARD: [u8; 2] = *b"+/";
const URL_SAFE: [u8; 2] = *b"-_";

/// `bytes` in the standard alphabet (section 4), padded.
pub(in crate::exporter) fn standard(bytes: &[u8]) -> String {
    let mut text = letters(bytes, STANDARD);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// `bytes` in the alphabet for URLs (section 5), without padding.
pub(in crate::exporter) fn url_safe(bytes: &[u8]) -> String {
    letters(bytes, URL_SAFE)
}

/// The value of an `Authorization` header for `user` and `password` (RFC 7617).
pub(in crate::exporter) fn basic(user: &str, password: &str) -> String {
    format!(
        "Basic {}",
        standard(format!("{user}:{password}").as_bytes())
    )
}

fn letters(bytes: &[u8], last: [u8; 2]) -> String {
    let letter = |value: u32| match (value & 63) as u8 {
        value @ 0..26 => b'A' + value,
        value @ 26..52 => b'a' + value - 26,
        value @ 52..62 => b'0' + value - 52,
        value => last[usize::from(value - 62)],
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |place: usize| u32::from(group.get(place).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        // Three bytes are four letters, two are three, and one is two.
        for shift in [18, 12, 6, 0].into_iter().take(group.len() + 1) {
            text.push(letter(bits >> shift).into());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_standard() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in vectors {
            assert_eq!(standard(plain.as_bytes()), coded);
            assert_eq!(url_safe(plain.as_bytes()), coded.trim_end_matches('='));
        }
        assert_eq!(standard(&[0xfb, 0xff]), "+/8=");
        assert_eq!(url_safe(&[0xfb, 0xff]), "-_8");
        // RFC 7617, section 2.
        assert_eq!(
            basic("Aladdin", "open sesame"),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }
}
