//! What an instrumented function is, once every rule has been checked.

use proc_macro2::TokenStream;
use syn::{Expr, Ident, ItemFn};

pub(crate) struct Function {
    pub(crate) item: ItemFn,
    /// Path to the crate that holds the hidden runtime.
    pub(crate) runtime: TokenStream,
    pub(crate) arguments: Arguments,
    pub(crate) body: Body,
    /// Function arguments that become fields.
    pub(crate) recorded: Vec<Ident>,
}

/// How the function's work is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// When it is called.
    Sync,
    /// When it is called, by a body that must stay in place; its value is seen at the end.
    InPlace,
    /// The same, and its value is not looked at: it leaves earlier, or only there has it its type.
    Unseen,
    /// When its future is polled.
    Async,
    /// In an `async` block that is the function's value, bare or in `Box::pin`.
    Returned,
}

/// What stands in the attribute's parentheses.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) name: Option<Expr>,
    /// An associated constant of `tracing::Level`.
    pub(crate) level: Option<Ident>,
    pub(crate) target: Option<Expr>,
    pub(crate) skip: Vec<Ident>,
    pub(crate) skip_all: bool,
    pub(crate) fields: TokenStream,
    /// Names of fields that are one word; an argument of that name is not recorded.
    pub(crate) field_names: Vec<Ident>,
    pub(crate) err: Option<Shown>,
    pub(crate) ret: Option<Shown>,
    pub(crate) parent: Option<Expr>,
    pub(crate) follows_from: Option<Expr>,
    pub(crate) cpu: bool,
    pub(crate) runtime: Option<TokenStream>,
}

impl Arguments {
    /// Whether no log needs the returned value.
    pub(crate) const fn shows_nothing(&self) -> bool {
        self.err.is_none() && self.ret.is_none()
    }
}

/// A value that is written into a log, and the log's level unless it is the usual one.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) format: Format,
    pub(crate) level: Option<Ident>,
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Display,
    Debug,
}
