//! Rules that need Rust's structure, each over one parsed file.

use syn::{
    AttrStyle, Attribute, Ident,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{Finding, Source, functions, unsafety};

/// Lines a file may have before its tests.
pub const FILE_LINES_MAX: usize = 500;

/// Endings of type names that say nothing about what the type is.
const EMPTY_NAMES: [&str; 5] = ["Manager", "Helper", "Util", "Utils", "Impl"];

/// What a test file must contain at least one of, to be able to fail on more than a panic in the code it calls.
const ASSERTIONS: [&str; 6] = [
    "assert",
    "insta::",
    "expect_err",
    "trybuild",
    "prop_assert",
    "panic",
];

pub fn check(source: &Source) -> Vec<Finding> {
    let syntax = match syn::parse_file(&source.text) {
        Ok(syntax) => syntax,
        Err(error) => return vec![source.finding(0, "parses", format!("is not Rust: {error}"))],
    };
    let mut rules = Rules {
        source,
        findings: Vec::new(),
        tests: 0,
    };
    rules.module_shape(&syntax);
    rules.visit_file(&syntax);
    rules.assertions();
    let mut findings = rules.findings;
    findings.extend(functions::check(source, &syntax));
    findings.extend(unsafety::check(source));
    findings
}

struct Rules<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
    /// Functions with a test attribute, and `proptest!` blocks.
    tests: usize,
}

impl Rules<'_> {
    fn find(&mut self, at: &impl Spanned, rule: &'static str, message: impl Into<String>) {
        let line = at.span().start().line;
        self.findings.push(self.source.finding(line, rule, message));
    }

    /// A module opens with what it is for, and lies in `foo.rs` beside `foo/`.
    fn module_shape(&mut self, syntax: &syn::File) {
        let is_documented = syntax.attrs.iter().any(|attribute| {
            matches!(attribute.style, AttrStyle::Inner(_)) && attribute.path().is_ident("doc")
        });
        // `foo/tests.rs` is the tests of `foo`, and nothing else needs saying.
        if !is_documented && !self.source.path.ends_with("/tests.rs") {
            self.findings.push(self.source.finding(
                0,
                "module-doc",
                "does not open with `//!` saying what it is for",
            ));
        }
        // Cargo takes each file in tests/ for a test program, so shared test code has to lie in a folder.
        if self.source.path.ends_with("/mod.rs") && !self.source.is_test() {
            self.findings.push(
                self.source
                    .finding(0, "mod-rs", "is `foo.rs` beside `foo/` here"),
            );
        }
    }

    /// A file with tests that can only pass proves nothing.
    fn assertions(&mut self) {
        if self.tests == 0 {
            return;
        }
        let from = if self.source.is_test() {
            0
        } else {
            self.source.text.find("#[cfg(test)]").unwrap_or(0)
        };
        if !ASSERTIONS
            .iter()
            .any(|word| self.source.text[from..].contains(word))
        {
            self.findings.push(
                self.source
                    .finding(0, "asserts", "has tests and asserts nothing"),
            );
        }
    }

    fn name(&mut self, name: &Ident) {
        let text = name.to_string();
        if let Some(ending) = EMPTY_NAMES
            .into_iter()
            .find(|ending| text.ends_with(ending))
        {
            self.find(
                name,
                "empty-name",
                format!("`{text}`: `{ending}` says nothing about what it is"),
            );
        }
    }
}

impl<'ast> Visit<'ast> for Rules<'_> {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let path = attribute.path();
        let is_conditional_allow = || {
            let syn::Meta::List(list) = &attribute.meta else {
                return false;
            };
            path.is_ident("cfg_attr")
                && list
                    .tokens
                    .to_string()
                    .split(',')
                    .skip(1)
                    .any(|part| part.trim().starts_with("allow ("))
        };
        if path.is_ident("allow") || is_conditional_allow() {
            self.find(attribute, "allow", "is `#[expect(lint, reason = \"...\")]` here: it says why, and ends when the cause does");
        }
        if path.is_ident("ignore") && matches!(attribute.meta, syn::Meta::Path(_)) {
            self.find(
                attribute,
                "ignore",
                "a test that does not run says why: `#[ignore = \"...\"]`",
            );
        }
        if path
            .segments
            .last()
            .is_some_and(|segment| segment.ident == "test")
        {
            self.tests += 1;
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if call.path.is_ident("proptest") {
            self.tests += 1;
        }
        visit::visit_macro(self, call);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.name(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.name(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.name(&item.ident);
        visit::visit_item_trait(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fired;

    fn fires(text: &str) -> Vec<(usize, &'static str)> {
        fired("crates/core/src/a.rs", &format!("//! Doc.\n{text}"))
    }

    #[test]
    fn a_module_without_a_doc_is_seen() {
        assert_eq!(
            fired("crates/core/src/a.rs", "fn a() {}\n"),
            [(0, "module-doc")]
        );
        assert_eq!(
            fired(
                "crates/core/src/a.rs",
                "/// Not of the module.\nfn a() {}\n"
            ),
            [(0, "module-doc")]
        );
    }

    #[test]
    fn a_modules_tests_need_no_doc() {
        let tests = "#[test]\nfn a() { assert!(b()); }\n";
        assert_eq!(fired("crates/core/src/lane/tests.rs", tests), []);
        let empty = "#[test]\nfn a() { b(); }\n";
        assert_eq!(
            fired("crates/core/src/lane/tests.rs", empty),
            [(0, "asserts")]
        );
    }

    #[test]
    fn mod_rs_is_seen_outside_tests() {
        assert_eq!(
            fired("crates/core/src/a/mod.rs", "//! Doc.\n"),
            [(0, "mod-rs")]
        );
        assert_eq!(fired("crates/core/tests/common/mod.rs", "//! Doc.\n"), []);
    }

    #[test]
    fn allow_is_refused_in_every_form() {
        assert_eq!(fires("#[allow(dead_code)]\nfn a() {}\n"), [(2, "allow")]);
        assert_eq!(fires("#![allow(dead_code)]\n"), [(2, "allow")]);
        assert_eq!(
            fires("#[cfg_attr(loom, allow(dead_code))]\nfn a() {}\n"),
            [(2, "allow")]
        );
        assert_eq!(
            fires("#[expect(dead_code, reason = \"r\")]\nfn a() {}\n"),
            []
        );
        // What a macro writes into a user's crate cannot expect a lint that may not fire there.
        assert_eq!(
            fires("fn a() { quote! { #[allow(dead_code)] fn b() {} }; }\n"),
            []
        );
    }

    #[test]
    fn tests_must_be_able_to_fail() {
        let empty = "#[test]\nfn works() { run(); }\n";
        assert_eq!(
            fired("crates/core/tests/a.rs", &format!("//! Doc.\n{empty}")),
            [(0, "asserts")]
        );
        let in_module =
            format!("fn a() {{ debug_assert!(true); }}\n#[cfg(test)]\nmod tests {{\n{empty}}}\n");
        assert_eq!(fires(&in_module), [(0, "asserts")]);
        assert_eq!(
            fired(
                "crates/core/tests/a.rs",
                "//! Doc.\n#[tokio::test]\nasync fn a() { assert!(b()); }\n"
            ),
            []
        );
        assert_eq!(
            fires("#[cfg(test)]\nmod tests { proptest! { #[test] fn a(x in 0..9) { b(x); } } }\n"),
            [(0, "asserts")]
        );
    }

    #[test]
    fn ignored_tests_say_why() {
        assert_eq!(fires("#[ignore]\nfn a() {}\n"), [(2, "ignore")]);
        assert_eq!(fires("#[ignore = \"needs a GPU\"]\nfn a() {}\n"), []);
    }

    #[test]
    fn empty_names_are_seen() {
        assert_eq!(
            fires("struct LaneManager;\nenum FileUtils {}\ntrait StoreImpl {}\n"),
            [(2, "empty-name"), (3, "empty-name"), (4, "empty-name")]
        );
        assert_eq!(fires("struct Implement;\n"), []);
    }
}
