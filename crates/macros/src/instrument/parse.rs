//! Tokens to [`model`](super::model). Every rule about `#[instrument]` is checked here.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::{
    Error, Expr, ExprCall, ExprPath, FnArg, Ident, ItemFn, LitStr, Pat, Path, Result, Stmt, Token,
    ext::IdentExt as _,
    parse::{Parse, ParseStream},
};

use super::model::{Arguments, Body, Format, Function};

const KNOWN: &str =
    "name, level, target, skip, skip_all, fields, err, ret, parent, follows_from, cpu and crate";

pub(crate) fn function(
    arguments: Arguments,
    item: ItemFn,
    runtime: &TokenStream,
) -> Result<Function> {
    if let Some(constant) = &item.sig.constness {
        return Err(Error::new_spanned(
            constant,
            "a `const fn` cannot be observed, because it may run in the compiler",
        ));
    }
    let body = body(&item);
    if arguments.cpu && body != Body::Sync {
        return Err(Error::new_spanned(
            &item.sig.ident,
            "`cpu` needs a function that stays on one thread, which an async one does not",
        ));
    }
    let names: Vec<Ident> = item.sig.inputs.iter().flat_map(names).collect();
    if let Some(unknown) = arguments
        .skip
        .iter()
        .find(|skip| !names.contains(skip) && *skip != "self")
    {
        return Err(Error::new_spanned(
            unknown,
            format_args!("`{unknown}` is not an argument of the function"),
        ));
    }
    let recorded = names
        .into_iter()
        .filter(|name| {
            !arguments.skip_all
                && !arguments.skip.contains(name)
                && !arguments.field_names.contains(name)
        })
        .collect();
    Ok(Function {
        runtime: arguments.runtime.clone().unwrap_or_else(|| runtime.clone()),
        item,
        arguments,
        body,
        recorded,
    })
}

fn body(item: &ItemFn) -> Body {
    if item.sig.asyncness.is_some() {
        return Body::Async;
    }
    match item.block.stmts.last() {
        Some(Stmt::Expr(last, None)) if is_async(last) => Body::Returned,
        _ => Body::Sync,
    }
}

/// An `async` block, bare or in `Box::pin(...)`, as `#[async_trait]` writes it.
fn is_async(expression: &Expr) -> bool {
    match expression {
        Expr::Async(_) => true,
        Expr::Call(call) => boxed(call).is_some(),
        _ => false,
    }
}

pub(crate) fn boxed(call: &ExprCall) -> Option<&Expr> {
    let Expr::Path(ExprPath { path, .. }) = &*call.func else {
        return None;
    };
    let mut segments = path.segments.iter().rev();
    let is_pin = segments.next()?.ident == "pin" && segments.next()?.ident == "Box";
    match (is_pin, call.args.first()) {
        (true, Some(argument @ Expr::Async(_))) if call.args.len() == 1 => Some(argument),
        _ => None,
    }
}

/// The names that an argument's pattern binds. `self` binds none that is recorded.
fn names(argument: &FnArg) -> Vec<Ident> {
    let mut names = Vec::new();
    if let FnArg::Typed(typed) = argument {
        bound(&typed.pat, &mut names);
    }
    names
}

fn bound(pattern: &Pat, names: &mut Vec<Ident>) {
    match pattern {
        // `#[async_trait]` renames `self`.
        Pat::Ident(ident) if ident.ident != "__self" => names.push(ident.ident.clone()),
        Pat::Reference(reference) => bound(&reference.pat, names),
        Pat::Paren(paren) => bound(&paren.pat, names),
        Pat::Type(typed) => bound(&typed.pat, names),
        Pat::Tuple(tuple) => tuple.elems.iter().for_each(|element| bound(element, names)),
        Pat::TupleStruct(tuple) => tuple.elems.iter().for_each(|element| bound(element, names)),
        Pat::Slice(slice) => slice.elems.iter().for_each(|element| bound(element, names)),
        Pat::Struct(record) => record
            .fields
            .iter()
            .for_each(|field| bound(&field.pat, names)),
        _ => {}
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            if input.peek(LitStr) && seen.is_empty() {
                arguments.name = Some(input.parse()?);
            } else {
                let key = input.call(Ident::parse_any)?;
                if seen.contains(&key) {
                    return Err(Error::new_spanned(
                        &key,
                        format_args!("`{key}` is given twice"),
                    ));
                }
                arguments.argument(&key, input)?;
                seen.push(key);
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn argument(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        match key.to_string().as_str() {
            "name" => self.name = Some(value(input)?),
            "target" => self.target = Some(value(input)?),
            "parent" => self.parent = Some(value(input)?),
            "follows_from" => self.follows_from = Some(value(input)?),
            "level" => self.level = Some(level(input)?),
            "skip" => {
                let content;
                syn::parenthesized!(content in input);
                let names = content.parse_terminated(Ident::parse_any, Token![,])?;
                self.skip = names.into_iter().collect();
            }
            "skip_all" => self.skip_all = true,
            "cpu" => self.cpu = true,
            "fields" => {
                let content;
                syn::parenthesized!(content in input);
                self.fields = content.parse()?;
                self.field_names = field_names(&self.fields);
            }
            "err" => self.err = Some(format(input, Format::Display)?),
            "ret" => self.ret = Some(format(input, Format::Debug)?),
            "crate" => {
                input.parse::<Token![=]>()?;
                let path = input.call(Path::parse_mod_style)?;
                self.runtime = Some(quote!(#path));
            }
            _ => {
                return Err(Error::new_spanned(
                    key,
                    format_args!("`{key}` is not an argument of #[instrument]; there are {KNOWN}"),
                ));
            }
        }
        Ok(())
    }
}

fn value(input: ParseStream<'_>) -> Result<Expr> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// `"debug"`, `DEBUG` or `Level::DEBUG`.
fn level(input: ParseStream<'_>) -> Result<Ident> {
    input.parse::<Token![=]>()?;
    let name = if input.peek(LitStr) {
        let text: LitStr = input.parse()?;
        (text.value(), text.span())
    } else {
        let path = input.call(Path::parse_mod_style)?;
        match path.segments.last() {
            Some(last) => (last.ident.to_string(), last.ident.span()),
            None => return Err(Error::new_spanned(path, "expected a level")),
        }
    };
    let upper = name.0.to_ascii_uppercase();
    if ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&upper.as_str()) {
        Ok(Ident::new(&upper, name.1))
    } else {
        Err(Error::new(
            name.1,
            format_args!(
                "`{}` is not a level; there are trace, debug, info, warn and error",
                name.0
            ),
        ))
    }
}

/// Nothing, `(Debug)` or `(Display)`.
fn format(input: ParseStream<'_>, default: Format) -> Result<Format> {
    if !input.peek(syn::token::Paren) {
        return Ok(default);
    }
    let content;
    syn::parenthesized!(content in input);
    let name: Ident = content.parse()?;
    match name.to_string().as_str() {
        "Debug" => Ok(Format::Debug),
        "Display" => Ok(Format::Display),
        _ => Err(Error::new_spanned(name, "expected `Debug` or `Display`")),
    }
}

/// The names of fields that are one word: `a` and `b` of `a = 1, ?b, c.d = 2`.
fn field_names(fields: &TokenStream) -> Vec<Ident> {
    let parts: Vec<TokenTree> = fields.clone().into_iter().collect();
    parts
        .split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ','))
        .filter_map(|field| {
            let mut tokens = field.iter().skip_while(
                |token| matches!(token, TokenTree::Punct(sigil) if matches!(sigil.as_char(), '?' | '%')),
            );
            let TokenTree::Ident(name) = tokens.next()? else {
                return None;
            };
            match tokens.next() {
                Some(TokenTree::Punct(next)) if next.as_char() == '.' => None,
                _ => Some(name.clone()),
            }
        })
        .collect()
}
