//! Every `unsafe` is an argument, written where it is made.
//!
//! The lints of clippy see blocks and implementations in code that is compiled on this machine. This rule sees every
//! target's code, macro bodies, and functions.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{Finding, Source};

/// How far above the keyword its argument may start, in lines.
const ARGUMENT_LINES_MAX: usize = 8;

pub fn check(source: &Source) -> Vec<Finding> {
    let Ok(tokens) = source.text.parse::<TokenStream>() else {
        return Vec::new();
    };
    let mut places = Vec::new();
    collect(tokens, &mut places);
    let lines: Vec<&str> = source.text.lines().collect();
    places
        .into_iter()
        .filter(|line| !is_argued(&lines, *line))
        .map(|line| {
            source.finding(
                line,
                "unsafe",
                "no `SAFETY:` comment or `# Safety` section directly above",
            )
        })
        .collect()
}

/// Lines of `unsafe` that open a block, an implementation, a trait, a function or a block of foreign items.
fn collect(tokens: TokenStream, places: &mut Vec<usize>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => collect(group.stream(), places),
            TokenTree::Ident(ident)
                if ident == "unsafe" && needs_argument(&tokens[index + 1..]) =>
            {
                places.push(ident.span().start().line);
            }
            _ => {}
        }
    }
}

/// Whether what follows the keyword is code to argue for, and not a type (`unsafe fn(...)`) or an attribute.
fn needs_argument(rest: &[TokenTree]) -> bool {
    match rest {
        [TokenTree::Group(group), ..] => group.delimiter() == Delimiter::Brace,
        [TokenTree::Ident(word), after @ ..] if word == "extern" => {
            let after_abi = if matches!(after.first(), Some(TokenTree::Literal(_))) {
                &after[1..]
            } else {
                after
            };
            needs_argument(after_abi)
        }
        [TokenTree::Ident(word), after, ..] if word == "fn" => matches!(after, TokenTree::Ident(_)),
        [TokenTree::Ident(word), ..] => word == "impl" || word == "trait",
        _ => false,
    }
}

/// An argument stands within [`ARGUMENT_LINES_MAX`] lines above, or anywhere in the comments and attributes that
/// directly precede the item.
fn is_argued(lines: &[&str], line: usize) -> bool {
    let argues = |text: &&str| text.contains("SAFETY") || text.contains("# Safety");
    let nearest = line.saturating_sub(ARGUMENT_LINES_MAX + 1);
    if lines[nearest..line.min(lines.len())].iter().any(argues) {
        return true;
    }
    let is_lead =
        |text: &&str| text.trim_start().starts_with("//") || text.trim_start().starts_with("#[");
    lines[..line - 1]
        .iter()
        .rev()
        .take_while(|text| is_lead(text))
        .any(argues)
}

#[cfg(test)]
mod tests {
    use super::super::tests::fired;

    fn fires(text: &str) -> Vec<(usize, &'static str)> {
        fired("crates/core/src/a.rs", &format!("//! Doc.\n{text}"))
    }

    #[test]
    fn an_unargued_unsafe_is_seen() {
        assert_eq!(fires("fn a() { unsafe { b() } }\n"), [(2, "unsafe")]);
        assert_eq!(fires("unsafe impl Send for A {}\n"), [(2, "unsafe")]);
        assert_eq!(fires("unsafe fn a() {}\n"), [(2, "unsafe")]);
        assert_eq!(fires("unsafe extern \"C\" fn a() {}\n"), [(2, "unsafe")]);
        assert_eq!(
            fires("unsafe extern \"C\" {\n    fn a();\n}\n"),
            [(2, "unsafe")]
        );
        assert_eq!(
            fires("macro_rules! a { () => { unsafe { b() } } }\n"),
            [(2, "unsafe")]
        );
    }

    #[test]
    fn an_argument_is_accepted_near_and_only_near() {
        assert_eq!(
            fires("fn a() {\n    // SAFETY: b has no contract.\n    unsafe { b() }\n}\n"),
            []
        );
        let far = format!(
            "// SAFETY: far away.\n{}fn a() {{ unsafe {{ b() }} }}\n",
            "fn c() {}\n".repeat(9)
        );
        assert_eq!(fires(&far), [(12, "unsafe")]);
        let long_doc = format!(
            "/// # Safety\n{}pub unsafe fn a() {{}}\n",
            "/// More.\n".repeat(12)
        );
        assert_eq!(fires(&long_doc), []);
    }

    #[test]
    fn types_and_attributes_are_not_code() {
        assert_eq!(
            fires("type F = unsafe fn(u8);\ntype G = unsafe extern \"C\" fn(u8);\n"),
            []
        );
        assert_eq!(fires("#[unsafe(no_mangle)]\nfn a() {}\n"), []);
    }
}
