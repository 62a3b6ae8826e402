//! W3C baggage: names and values that a request carries along, for every service on its way to read.
//!
//! Baggage comes from outside and goes back outside: it is never recorded by itself.
//! Invariant: a [`Baggage`] always fits into one header within the limits of the recommendation (section 3.3.2).

use std::fmt;

use super::trace_context::Malformed;

/// Most members (section 3.3.2).
pub const BAGGAGE_MEMBERS_MAX: usize = 64;
/// Longest header, in bytes (section 3.3.2).
pub const BAGGAGE_BYTES_MAX: usize = 8192;

/// Beyond so many bytes members of a header are refused unread: blanks and members that come twice may make a header
/// longer than what is kept of it.
const HEADER_BYTES_READ: usize = 4 * BAGGAGE_BYTES_MAX;

/// Names and values that travel with a request, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Baggage {
    members: Vec<Member>,
    /// Length of the header that these members make.
    bytes: usize,
}

/// One name with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    key: String,
    value: String,
    properties: String,
}

impl Member {
    /// The name, a token of HTTP.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value, percent-decoded.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Properties as they came, separated by semicolons; empty where there are none.
    pub fn properties(&self) -> &str {
        &self.properties
    }

    fn bytes(&self) -> usize {
        let properties = match self.properties.len() {
            0 => 0,
            length => length + 1,
        };
        self.key.len() + 1 + encoded_bytes(&self.value) + properties
    }

    fn parse(text: &str) -> Result<Self, Malformed> {
        let (pair, properties) = match text.split_once(';') {
            Some((pair, properties)) => (pair, trim(properties)),
            None => (text, ""),
        };
        let (key, value) = pair.split_once('=').ok_or(Malformed)?;
        let (key, value) = (trim(key), trim(value));
        let printable = |text: &str| text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~'));
        if !is_token(key) || !value.bytes().all(is_value_byte) || !printable(properties) {
            return Err(Malformed);
        }
        Ok(Self {
            key: key.to_owned(),
            value: decoded(value),
            properties: properties.to_owned(),
        })
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.key)?;
        for &byte in self.value.as_bytes() {
            if is_plain(byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        if self.properties.is_empty() {
            Ok(())
        } else {
            write!(f, ";{}", self.properties)
        }
    }
}

/// Why a member was not added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaggageError {
    /// The name is not a token of HTTP.
    Key(String),
    /// There are already [`BAGGAGE_MEMBERS_MAX`] members, or the header would be longer than [`BAGGAGE_BYTES_MAX`].
    Full(String),
}

impl fmt::Display for BaggageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(
                f,
                "baggage key {key:?} is not a token; use letters, digits and !#$%&'*+-.^_`|~"
            ),
            Self::Full(key) => write!(
                f,
                "no room for baggage member {key:?}; a request carries at most {BAGGAGE_MEMBERS_MAX} members and \
                 {BAGGAGE_BYTES_MAX} bytes"
            ),
        }
    }
}

impl std::error::Error for BaggageError {}

impl Baggage {
    /// Baggage without members.
    pub const fn new() -> Self {
        Self {
            members: Vec::new(),
            bytes: 0,
        }
    }

    /// Reads a header; several headers are joined by commas first. Members that are malformed or beyond the limits are
    /// left out; the second value says how many.
    pub fn parse(text: &str) -> (Self, usize) {
        let mut baggage = Self::new();
        // Of a header that is far too long, only commas are looked for.
        let end = text.floor_char_boundary(HEADER_BYTES_READ);
        let end = text[end..]
            .find(',')
            .map_or(text.len(), |comma| end + comma);
        let (text, rest) = text.split_at(if text.len() > HEADER_BYTES_READ {
            end
        } else {
            text.len()
        });
        let mut refused = rest.bytes().filter(|&byte| byte == b',').count();
        for member in text.split(',').map(trim).filter(|text| !text.is_empty()) {
            let kept = Member::parse(member).is_ok_and(|member| baggage.put(member).is_ok());
            refused += usize::from(!kept);
        }
        (baggage, refused)
    }

    /// The members, in order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether there are no members.
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.members
            .iter()
            .find(|member| member.key == key)
            .map(|member| member.value.as_str())
    }

    /// Adds a member, in place of one with the same name.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), BaggageError> {
        if !is_token(key) {
            return Err(BaggageError::Key(key.to_owned()));
        }
        self.put(Member {
            key: key.to_owned(),
            value: value.to_owned(),
            properties: String::new(),
        })
    }

    /// Removes a member; whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.members.len();
        self.members.retain(|member| member.key != key);
        self.bytes = length(&self.members);
        self.members.len() < before
    }

    fn put(&mut self, member: Member) -> Result<(), BaggageError> {
        let place = self
            .members
            .iter()
            .position(|other| other.key == member.key);
        let bytes = match place {
            Some(at) => self.bytes - self.members[at].bytes() + member.bytes(),
            None => self.bytes + usize::from(!self.members.is_empty()) + member.bytes(),
        };
        if bytes > BAGGAGE_BYTES_MAX
            || (place.is_none() && self.members.len() == BAGGAGE_MEMBERS_MAX)
        {
            return Err(BaggageError::Full(member.key));
        }
        self.bytes = bytes;
        match place {
            Some(at) => self.members[at] = member,
            None => self.members.push(member),
        }
        Ok(())
    }
}

impl fmt::Display for Baggage {
    /// The header's value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, member) in self.members.iter().enumerate() {
            write!(f, "{}{member}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

fn length(members: &[Member]) -> usize {
    let commas = members.len().saturating_sub(1);
    members.iter().map(Member::bytes).sum::<usize>() + commas
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A token of HTTP (RFC 7230, section 3.2.6).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A byte that a value may hold in the header: `baggage-octet`.
const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// A byte that stands for itself in the header.
const fn is_plain(byte: u8) -> bool {
    is_value_byte(byte) && byte != b'%'
}

fn encoded_bytes(value: &str) -> usize {
    value
        .bytes()
        .map(|byte| if is_plain(byte) { 1 } else { 3 })
        .sum()
}

/// Percent-decoded; what is not UTF-8 then becomes U+FFFD, and a `%` without two digits stands for itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = tail.split_at_checked(2).filter(|_| first == b'%');
        let value = escape.and_then(|(digits, after)| {
            let digit = |at: usize| char::from(digits[at]).to_digit(16);
            Some(((digit(0)? * 16 + digit(1)?) as u8, after))
        });
        let (byte, after) = value.unwrap_or((first, tail));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_values_and_properties_are_read() {
        let text = "user = ann%20lee;secret ; ttl=5, empty=,tenant=a%C3%A9=b,bad,user=bob";
        let (baggage, refused) = Baggage::parse(text);
        assert_eq!(refused, 1);
        assert_eq!(baggage.get("user"), Some("bob"), "the last one counts");
        assert_eq!(baggage.get("tenant"), Some("aé=b"));
        assert_eq!(baggage.get("empty"), Some(""));
        assert_eq!(baggage.to_string(), "user=bob,empty=,tenant=a%C3%A9=b");
        let (baggage, _) = Baggage::parse("user=ann%20lee;secret ; ttl=5");
        assert_eq!(baggage.members()[0].properties(), "secret ; ttl=5");
        assert_eq!(baggage.to_string(), "user=ann%20lee;secret ; ttl=5");
    }

    #[test]
    fn what_is_malformed_is_left_out_and_counted() {
        for text in [
            "k",
            "=v",
            "k y=v",
            "k=v w",
            "k=\"v\"",
            "k=é",
            "k=v;p\u{1}",
            "k=v\\",
        ] {
            assert_eq!(Baggage::parse(text), (Baggage::new(), 1), "{text:?}");
        }
        assert_eq!(Baggage::parse(" ,\t, "), (Baggage::new(), 0));
        let (odd, _) = Baggage::parse("k=%zz%4%ff%41");
        assert_eq!(odd.get("k"), Some("%zz%4\u{fffd}A"));
    }

    #[test]
    fn limits_hold_on_the_way_in_and_when_adding() {
        let many = (0..70)
            .map(|n| format!("k{n}=v"))
            .collect::<Vec<_>>()
            .join(",");
        let (mut baggage, refused) = Baggage::parse(&many);
        assert_eq!((baggage.members().len(), refused), (64, 6));
        assert_eq!(
            baggage.insert("one", "more"),
            Err(BaggageError::Full("one".to_owned()))
        );
        baggage.insert("k0", "replaced").unwrap();
        assert!(baggage.remove("k1") && !baggage.remove("k1"));
        baggage.insert("one", "more").unwrap();
        let (_, refused) =
            Baggage::parse(&format!("a={},b={}", "x".repeat(5000), "y".repeat(5000)));
        assert_eq!(refused, 1);
        insta::assert_snapshot!(
            format!("{}\n{}", baggage.insert("a b", "").unwrap_err(), baggage.insert("z", &"é".repeat(9000)).unwrap_err()),
            @r###"
        baggage key "a b" is not a token; use letters, digits and !#$%&'*+-.^_`|~
        no room for baggage member "z"; a request carries at most 64 members and 8192 bytes
        "###
        );
    }

    #[test]
    fn the_end_of_a_header_that_is_far_too_long_is_refused_unread() {
        let header = "k=v,".repeat(1_000_000);
        let (baggage, refused) = Baggage::parse(&header);
        assert_eq!(baggage.to_string(), "k=v");
        assert!((990_000..1_000_000).contains(&refused), "{refused}");
        let (baggage, refused) =
            Baggage::parse(&format!("a=1,b={}", "x".repeat(HEADER_BYTES_READ)));
        assert_eq!((baggage.to_string().as_str(), refused), ("a=1", 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]
        #[test]
        fn every_baggage_round_trips_within_its_limits(
            members in proptest::collection::vec(("[a-z0-9._-]{1,9}", "\\PC{0,300}"), 0..80),
        ) {
            let mut baggage = Baggage::new();
            for (key, value) in &members {
                let _ = baggage.insert(key, value);
            }
            let text = baggage.to_string();
            prop_assert_eq!(text.len(), baggage.bytes);
            prop_assert!(text.len() <= BAGGAGE_BYTES_MAX && baggage.members().len() <= BAGGAGE_MEMBERS_MAX);
            prop_assert_eq!(Baggage::parse(&text), (baggage, 0));
        }

        #[test]
        fn no_header_panics_and_what_is_kept_reads_back(text in "[a-c=,;% \\t\"é0-9]{0,200}") {
            let (baggage, _) = Baggage::parse(&text);
            // A replacement character reads back as itself, so one round is enough for every input.
            prop_assert_eq!(Baggage::parse(&baggage.to_string()), (baggage, 0));
        }
    }
}
