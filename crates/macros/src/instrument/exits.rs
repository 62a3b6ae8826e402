//! Where control leaves a function before its end, as far as its tokens tell: a macro may hide more.

use proc_macro2::Span;
use syn::{
    Block, ExprAsync, ExprClosure, ExprReturn, ExprTry, Item,
    spanned::Spanned as _,
    visit::{self, Visit},
};

/// The first `return` or `?` of `block` that is the function's own, not one of a closure, a block or an item in it.
pub(super) fn first(block: &Block) -> Option<Span> {
    let mut exits = Exits(None);
    exits.visit_block(block);
    exits.0
}

struct Exits(Option<Span>);

impl<'ast> Visit<'ast> for Exits {
    fn visit_expr_return(&mut self, exit: &'ast ExprReturn) {
        self.0.get_or_insert(exit.return_token.span());
    }

    fn visit_expr_try(&mut self, exit: &'ast ExprTry) {
        visit::visit_expr_try(self, exit);
        self.0.get_or_insert(exit.question_token.span());
    }

    fn visit_expr_closure(&mut self, _: &'ast ExprClosure) {}

    fn visit_expr_async(&mut self, _: &'ast ExprAsync) {}

    fn visit_item(&mut self, _: &'ast Item) {}
}
