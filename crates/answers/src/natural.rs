//! The order in which people expect names: `block 2` before `block 10`.

use std::cmp::Ordering;

/// Compares runs of digits by their value and everything else by character; names that are equal so far (`01` and
/// `1`) are ordered by their bytes, so that the order is total.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (mut a, mut b) = (left.as_bytes(), right.as_bytes());
    while let (Some(&x), Some(&y)) = (a.first(), b.first()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (digits_a, digits_b) = (split_digits(&mut a), split_digits(&mut b));
            // Without leading zeros the longer number is the larger one, whatever its length.
            digits_a
                .len()
                .cmp(&digits_b.len())
                .then_with(|| digits_a.cmp(digits_b))
        } else {
            (a, b) = (&a[1..], &b[1..]);
            x.cmp(&y)
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len()).then_with(|| left.cmp(right))
}

/// Compares paths name by name, so that what is inside of a name stands right behind it: `forward/block 1` before
/// `forward pass`, although a space is less than a slash.
pub(crate) fn compare_paths(left: &str, right: &str) -> Ordering {
    let (mut names, mut others) = (left.split('/'), right.split('/'));
    loop {
        let order = match (names.next(), others.next()) {
            (Some(a), Some(b)) => compare(a, b),
            (a, b) => return a.is_some().cmp(&b.is_some()),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes the digits at the front off `text` and returns them without leading zeros.
fn split_digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_inside_names_are_compared_by_value() {
        let mut names = [
            "block 10", "block 2", "block 02", "block", "a", "block 2b", "10", "9",
        ];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(
            names,
            [
                "9", "10", "a", "block", "block 02", "block 2", "block 2b", "block 10"
            ]
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        #[test]
        fn the_order_is_total(a in "[a-b0-2 ]{0,6}", b in "[a-b0-2 ]{0,6}", c in "[a-b0-2 ]{0,6}") {
            assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            assert_eq!(compare(&a, &b).is_eq(), a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                assert!(compare(&a, &c).is_le());
            }
        }
    }
}
