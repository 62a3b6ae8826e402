//! Keys: what somebody shows to be let in, and what whoever shows it may do.
//!
//! A key is a secret or a client's certificate. Of secrets only the SHA-256 is kept, so that what is in memory opens nothing,
//! and two are compared by it, which takes the same time however much of a guess is right.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Fewest bytes of a token, and of the secret of a key: what 96 random bits take in hexadecimal.
pub const TOKEN_BYTES_MIN: usize = 24;
/// Most bytes of a file of keys.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most keys of a file: every request looks at all of them.
const KEYS_MAX: usize = 1000;
/// Most letters of a key's name.
const NAME_MAX: usize = 64;
/// What a file of keys looks like.
const FORM: &str = "write a table for each key: [[key]] with name = \"...\", role = \"viewer\" (or ingest, operator, admin), and one \
                    of secret, secret_sha256 and certificate_sha256";
/// What the token is called among keys.
const TOKEN_NAME: &str = "token";
/// What the audit calls others than those who have a key.
const NAMES_TAKEN: [&str; 4] = [TOKEN_NAME, "loopback", "nobody", "others"];

/// The SHA-256 of a secret, or of a certificate.
pub(crate) type Fingerprint = [u8; 32];

/// What somebody is there for, which decides what a key of theirs opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends telemetry, and sees none.
    Ingest,
    /// Looks at everything, and changes nothing.
    Viewer,
    /// A viewer who sends as well, imports, and does whatever changes something.
    Operator,
    /// May do everything.
    Admin,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Telemetry comes in.
    Send,
    /// A question.
    Read,
    /// Something is different afterwards.
    Change,
}

impl Role {
    const ALL: [Self; 4] = [Self::Ingest, Self::Viewer, Self::Operator, Self::Admin];

    /// As the file of keys has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The one place where a role meets what is asked of it.
    pub(crate) const fn may(self, right: Right) -> bool {
        match right {
            Right::Send => !matches!(self, Self::Viewer),
            Right::Read => !matches!(self, Self::Ingest),
            Right::Change => matches!(self, Self::Operator | Self::Admin),
        }
    }
}

impl Right {
    /// What a request wants, and whose key opens it.
    pub(crate) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Send => ("send telemetry", "ingest, operator or admin"),
            Self::Read => ("read", "viewer, operator or admin"),
            Self::Change => ("change something", "operator or admin"),
        }
    }
}

/// What everybody has to show who is not let in otherwise: the secret of an admin's key. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Fingerprint);

/// A token was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token has at least {TOKEN_BYTES_MIN} letters, digits and `-._~` and nothing else; make one with `openssl rand -hex 32`"
)]
pub struct WeakToken;

impl Token {
    /// Takes a token, without the white space around it.
    pub fn new(text: &str) -> Result<Self, WeakToken> {
        let text = text.trim();
        // What is left as it is in headers, cookies and addresses (RFC 3986, section 2.3).
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if text.len() < TOKEN_BYTES_MIN || !text.bytes().all(plain) {
            return Err(WeakToken);
        }
        Ok(Self(fingerprint(text.as_bytes())))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A key: who has it, what it opens, and what it is known by, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    name: String,
    role: Role,
    proof: Proof,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Secret(Fingerprint),
    Certificate(Fingerprint),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.name, self.role.name())
    }
}

impl From<Token> for Key {
    fn from(token: Token) -> Self {
        Self {
            name: TOKEN_NAME.to_owned(),
            role: Role::Admin,
            proof: Proof::Secret(token.0),
        }
    }
}

impl Key {
    /// Whose it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its holder is there for.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Whether it is a certificate, and no secret.
    pub const fn is_certificate(&self) -> bool {
        matches!(self.proof, Proof::Certificate(_))
    }

    /// Whether both are opened by the same.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.proof == other.proof
    }

    /// The key whose secret is `shown`. All are looked at, so that the time does not tell which it was.
    pub(crate) fn of_secret<'k>(keys: &'k [Self], shown: &str) -> Option<&'k Self> {
        let shown = fingerprint(shown.as_bytes());
        keys.iter().fold(None, |found, key| match &key.proof {
            Proof::Secret(own) if is_same(own, &shown) => Some(key),
            _ => found,
        })
    }

    /// The key that is this certificate.
    pub(crate) fn of_certificate<'k>(keys: &'k [Self], shown: &Fingerprint) -> Option<&'k Self> {
        keys.iter()
            .find(|key| matches!(&key.proof, Proof::Certificate(own) if own == shown))
    }

    /// Reads a file of keys.
    pub fn read(path: &Path) -> Result<Vec<Self>, KeysError> {
        let error = |wrong: String, mend| KeysError {
            file: path.to_owned(),
            wrong,
            mend,
        };
        let readable = "name a file that the collector may read, such as --keys keys.toml";
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(|cause| error(format!("cannot be read: {cause}"), readable))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(error(
                format!("has more than {FILE_BYTES_MAX} bytes"),
                readable,
            ));
        }
        Self::parse(&text).map_err(|(wrong, mend)| error(wrong, mend))
    }

    /// Reads keys, or says what is wrong and what to do about it.
    fn parse(text: &str) -> Result<Vec<Self>, (String, &'static str)> {
        let file: KeyFile = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = 1 + before.map_or(0, |before| before.matches('\n').count());
            let words = without_values(error.message());
            (format!("is wrong in line {line}: {words}"), FORM)
        })?;
        if file.key.is_empty() {
            return Err(("has no key".to_owned(), FORM));
        }
        if file.key.len() > KEYS_MAX {
            return Err((
                format!("has more than {KEYS_MAX} keys"),
                "give several programs of one kind one key",
            ));
        }
        let entries = file.key.into_iter().enumerate();
        let keys = entries.map(|(at, entry)| entry.key(at + 1));
        let keys: Vec<Self> = keys.collect::<Result<_, _>>()?;
        distinct(&keys)?;
        Ok(keys)
    }
}

/// A file of keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file of keys {file} {wrong}; {mend}", file = file.display())]
pub struct KeysError {
    file: PathBuf,
    wrong: String,
    mend: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    role: String,
    secret: Option<String>,
    secret_sha256: Option<String>,
    certificate_sha256: Option<String>,
}

impl Entry {
    /// The key that the table of this number is.
    fn key(self, number: usize) -> Result<Key, (String, &'static str)> {
        let name = self.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(char::is_control)
        {
            let wrong = format!(
                "has no name for key {number}, or one that is longer than {NAME_MAX} letters"
            );
            return Err((wrong, "call it by who has it: name = \"grafana\""));
        }
        let role = Role::ALL
            .into_iter()
            .find(|role| role.name() == self.role.trim());
        let role = role.ok_or_else(|| {
            let wrong = format!("has a role for `{name}` that there is not");
            (wrong, "write ingest, viewer, operator or admin")
        })?;
        let proof = match (self.secret, self.secret_sha256, self.certificate_sha256) {
            (Some(secret), None, None) => {
                let secret = Token::new(&secret).map_err(|_| {
                    let wrong = format!("has a secret for `{name}` that is shorter than {TOKEN_BYTES_MIN} letters, digits and `-._~`, or has others");
                    (wrong, "make one with `openssl rand -hex 32`")
                })?;
                Proof::Secret(secret.0)
            }
            (None, Some(digest), None) => Proof::Secret(digest_of(&digest, &name)?),
            (None, None, Some(digest)) => Proof::Certificate(digest_of(&digest, &name)?),
            _ => {
                let wrong = format!(
                    "does not have exactly one of secret, secret_sha256 and certificate_sha256 for `{name}`"
                );
                return Err((wrong, FORM));
            }
        };
        Ok(Key { name, role, proof })
    }
}

/// Says which two keys cannot be told apart.
fn distinct(keys: &[Key]) -> Result<(), (String, &'static str)> {
    let (mut names, mut proofs) = (HashSet::from(NAMES_TAKEN), HashMap::new());
    for key in keys {
        if !names.insert(key.name.as_str()) {
            let wrong = format!("calls a key `{}`, which is taken", key.name);
            let mend = "give each key a name of its own; `token` is that of RADIOSONDE_TOKEN, and who has no key is called \
                        `loopback`, `nobody` or `others`";
            return Err((wrong, mend));
        }
        let (Proof::Secret(proof) | Proof::Certificate(proof)) = key.proof;
        if let Some(other) = proofs.insert(proof, key.name.as_str()) {
            let wrong = format!("has one secret for `{other}` and `{}`", key.name);
            return Err((wrong, "give each key a secret of its own"));
        }
    }
    Ok(())
}

/// A digest as `sha256sum` writes it, or `openssl x509 -fingerprint`, with colons.
fn digest_of(text: &str, name: &str) -> Result<Fingerprint, (String, &'static str)> {
    let digits: Vec<u8> = text
        .trim()
        .chars()
        .filter(|letter| *letter != ':')
        .map(|letter| letter.to_digit(16).map_or(u8::MAX, |digit| digit as u8))
        .collect();
    let mut digest = Fingerprint::default();
    let is_one = digits.len() == 2 * digest.len() && digits.iter().all(|digit| *digit < 16);
    if !is_one {
        let wrong = format!("has a SHA-256 for `{name}` that is not 64 hexadecimal digits");
        return Err((
            wrong,
            "take it from `printf %s \"$SECRET\" | sha256sum`, or `openssl x509 -noout -fingerprint -sha256 -in client.pem`",
        ));
    }
    for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
        *byte = pair.iter().fold(0, |byte, digit| (byte << 4) | digit);
    }
    Ok(digest)
}

/// What a reader of TOML says is wrong, without the values that it quotes: one may be a secret, and have quotes in it.
fn without_values(message: &str) -> String {
    let parts = (
        message.split_once(['"', '`']),
        message.rsplit_once(", expected"),
    );
    match parts {
        (Some((before, _)), Some((_, after))) if message.starts_with("invalid") => {
            format!("{before}..., expected{after}")
        }
        _ => {
            let parts = message.split('"').step_by(2);
            parts.collect::<Vec<_>>().join("...")
        }
    }
}

/// The SHA-256 of anything.
pub(crate) fn fingerprint(bytes: &[u8]) -> Fingerprint {
    Sha256::digest(bytes).into()
}

/// Whether two are the same, in a time that does not tell where they differ.
fn is_same(one: &Fingerprint, other: &Fingerprint) -> bool {
    let differences = one.iter().zip(other).map(|(a, b)| a ^ b);
    std::hint::black_box(differences.fold(0, |all, one| all | one)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    /// `printf %s 0123456789abcdef0123456789abcdef | sha256sum`
    const SECRET_SHA256: &str = "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9";

    fn parse(text: &str) -> Result<Vec<Key>, String> {
        Key::parse(text).map_err(|(wrong, mend)| format!("{wrong}; {mend}"))
    }

    #[test]
    fn tokens_are_long_plain_and_never_printed() {
        assert!(Token::new("short").is_err());
        assert!(Token::new(&format!("{SECRET};")).is_err());
        let token = Token::new(SECRET).unwrap();
        assert_eq!(Token::new(&format!(" {SECRET}\n")), Ok(token.clone()));
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert_eq!(format!("{:?}", Key::from(token)), "Key(token, admin)");
    }

    #[test]
    fn a_secret_and_its_digest_are_the_same_key() {
        let key = |proof: &str| {
            let text = format!("[[key]]\nname = \"a\"\nrole = \"viewer\"\n{proof}\n");
            parse(&text).unwrap()
        };
        let plain = key(&format!("secret = \"{SECRET}\""));
        let digest = key(&format!("secret_sha256 = \"{SECRET_SHA256}\""));
        assert_eq!(plain, digest);
        let found = Key::of_secret(&digest, SECRET).unwrap();
        assert_eq!((found.name(), found.role()), ("a", Role::Viewer));
        assert_eq!(Key::of_secret(&digest, &SECRET[1..]), None);
        assert_eq!(Key::of_secret(&digest, SECRET_SHA256), None);
        assert_eq!(
            Key::of_certificate(&digest, &fingerprint(SECRET.as_bytes())),
            None
        );
    }

    #[test]
    fn a_certificate_is_known_by_its_fingerprint() {
        let digits = "AB".repeat(32);
        let colons = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).unwrap())
            .collect::<Vec<_>>()
            .join(":");
        for written in [digits.to_lowercase(), colons] {
            let text = format!(
                "[[key]]\nname = \"gpu-7\"\nrole = \"ingest\"\ncertificate_sha256 = \"{written}\"\n"
            );
            let keys = parse(&text).unwrap();
            let found = Key::of_certificate(&keys, &[0xab; 32]).unwrap();
            assert!(found.is_certificate() && found.role() == Role::Ingest);
            assert_eq!(Key::of_secret(&keys, &written), None);
        }
    }

    #[test]
    fn what_a_role_may_do() {
        let may =
            |role: Role| [Right::Send, Right::Read, Right::Change].map(|right| role.may(right));
        assert_eq!(may(Role::Ingest), [true, false, false]);
        assert_eq!(may(Role::Viewer), [false, true, false]);
        assert_eq!(may(Role::Operator), [true; 3]);
        assert_eq!(may(Role::Admin), [true; 3]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_its_secrets() {
        let one = format!("[[key]]\nname = \"a\"\nrole = \"viewer\"\nsecret = \"{SECRET}\"\n");
        let named = |name: &str| one.replace("\"a\"", &format!("\"{name}\""));
        for (text, expected) in [
            (String::new(), "has no key"),
            (format!("key = \"{SECRET}\"\n"), "line 1"),
            (format!("\n[[key]]\nsecret = {SECRET}\n"), "line 3"),
            (
                format!("key = \"a\\\"{SECRET}\"\n"),
                "..., expected a sequence",
            ),
            (one.replace("secret", "secrets"), "secrets"),
            (
                one.replace("viewer", "boss"),
                "a role for `a` that there is not",
            ),
            (one.replace(SECRET, "short"), "shorter than 24"),
            (one.replace("secret", "secret_sha256"), "64 hexadecimal"),
            (
                format!("{one}secret_sha256 = \"{SECRET_SHA256}\"\n"),
                "exactly one",
            ),
            (
                one.replace(&format!("secret = \"{SECRET}\""), ""),
                "exactly one",
            ),
            (named(" "), "no name for key 1"),
            (named("token"), "`token`, which is taken"),
            (named("nobody"), "`nobody`, which is taken"),
            (format!("{one}{one}"), "`a`, which is taken"),
            (format!("{one}{}", named("b")), "one secret for `a` and `b`"),
        ] {
            let said = parse(&text).unwrap_err();
            assert!(said.contains(expected), "{text}: {said}");
            assert!(!said.contains(SECRET), "{said}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_not_quoted() {
        assert_eq!(
            without_values("invalid type: integer `123456789012345678`, expected a string"),
            "invalid type: integer ..., expected a string"
        );
        assert_eq!(
            without_values("unknown field `secrets`, expected `secret`"),
            "unknown field `secrets`, expected `secret`"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Key::read(Path::new("no/such/keys.toml")).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("no/such/keys.toml cannot be read") && said.contains("--keys"));
    }
}
