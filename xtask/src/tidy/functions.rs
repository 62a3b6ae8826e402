//! Functions fit a screen.
//!
//! Counted from the line of `fn` to the closing brace. Lines inside a string literal (a snapshot, a query, a page of
//! help) are data and do not count.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Block, Signature,
    visit::{self, Visit},
};

use super::{Finding, Source};

/// Lines a function may have.
const FUNCTION_LINES_MAX: usize = 70;

pub fn check(source: &Source, syntax: &syn::File) -> Vec<Finding> {
    let mut strings = Vec::new();
    if let Ok(tokens) = source.text.parse::<TokenStream>() {
        long_literals(tokens, &mut strings);
    }
    let mut lengths = Lengths {
        source,
        strings,
        findings: Vec::new(),
    };
    lengths.visit_file(syntax);
    lengths.findings
}

/// First and last line of every literal that spans several.
fn long_literals(tokens: TokenStream, found: &mut Vec<(usize, usize)>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => long_literals(group.stream(), found),
            TokenTree::Literal(literal) => {
                let (first, last) = (literal.span().start().line, literal.span().end().line);
                if last > first {
                    found.push((first, last));
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

struct Lengths<'a> {
    source: &'a Source,
    strings: Vec<(usize, usize)>,
    findings: Vec<Finding>,
}

impl Lengths<'_> {
    fn function(&mut self, signature: &Signature, block: &Block) {
        let first = signature.fn_token.span.start().line;
        let last = block.brace_token.span.close().end().line;
        let data: usize = self
            .strings
            .iter()
            .filter(|(from, to)| *from >= first && *to <= last)
            .map(|(from, to)| to - from)
            .sum();
        let lines = last + 1 - first - data;
        if lines > FUNCTION_LINES_MAX {
            let message = format!(
                "`{}` has {lines} lines, at most {FUNCTION_LINES_MAX}: branch here, work in leaves",
                signature.ident
            );
            self.findings
                .push(self.source.finding(first, "function-length", message));
        }
    }
}

impl<'ast> Visit<'ast> for Lengths<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fired;

    fn fires(text: &str) -> Vec<(usize, &'static str)> {
        fired("crates/core/src/a.rs", &format!("//! Doc.\n{text}"))
    }

    #[test]
    fn seventy_lines_fit_and_seventy_one_do_not() {
        let body = |lines: usize| format!("fn a() {{\n{}}}\n", "    b();\n".repeat(lines - 2));
        assert_eq!(fires(&body(70)), []);
        assert_eq!(fires(&body(71)), [(2, "function-length")]);
    }

    #[test]
    fn methods_and_provided_methods_are_functions() {
        let body = "    b();\n".repeat(70);
        assert_eq!(
            fires(&format!("impl A {{\nfn a() {{\n{body}}}\n}}\n")),
            [(3, "function-length")]
        );
        assert_eq!(
            fires(&format!("trait A {{\n/// Doc.\nfn a() {{\n{body}}}\n}}\n")),
            [(4, "function-length")]
        );
    }

    #[test]
    fn braces_in_strings_and_comments_do_not_end_a_function() {
        let body = format!(
            "fn a() {{\n    let _ = \"}}\"; // }}\n{}}}\n",
            "    b();\n".repeat(70)
        );
        assert_eq!(fires(&body), [(2, "function-length")]);
    }

    #[test]
    fn a_snapshot_is_data() {
        let snapshot = "row\n".repeat(90);
        assert_eq!(
            fires(&format!(
                "fn a() {{\n    assert_snapshot!(b(), @r\"\n{snapshot}\");\n}}\n"
            )),
            []
        );
    }
}
