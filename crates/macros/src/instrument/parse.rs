//! Tokens to [`model`](super::model). Every rule about `#[instrument]` is checked here.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::{
    Error, Expr, ExprCall, ExprPath, FnArg, Ident, ItemFn, LitStr, Pat, Path, PathArguments,
    Result, ReturnType, Stmt, Token, Type, TypeParamBound,
    ext::IdentExt as _,
    parse::{Parse, ParseStream},
};

use super::{
    exits,
    model::{Arguments, Body, Format, Function, Shown},
};

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
    let body = body(&arguments, &item)?;
    if arguments.cpu && matches!(body, Body::Async | Body::Returned) {
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

fn body(arguments: &Arguments, item: &ItemFn) -> Result<Body> {
    if item.sig.asyncness.is_some() {
        return Ok(Body::Async);
    }
    if let Some(Stmt::Expr(last, None)) = item.block.stmts.last()
        && is_async(last)
    {
        return match exits::first(&item.block) {
            None => Ok(Body::Returned),
            Some(exit) => Err(Error::new(
                exit,
                "#[instrument] observes the `async` block that ends the function, and not what is given back here: \
                 decide inside of the block",
            )),
        };
    }
    let output = &item.sig.output;
    if returns_closure(output) && arguments.shows_nothing() {
        return Ok(Body::Unseen);
    }
    if !item
        .attrs
        .iter()
        .any(|attribute| attribute.path().is_ident("track_caller"))
    {
        return Ok(Body::Sync);
    }
    // In a closure the caller would be this function.
    match exits::first(&item.block) {
        Some(exit) if returns_result(output) || !arguments.shows_nothing() => Err(Error::new(
            exit,
            "#[instrument] cannot see what leaves a `#[track_caller]` function early: \
             let its value be that of the last expression",
        )),
        Some(_) => Ok(Body::Unseen),
        None if returns_never(output) => Ok(Body::Unseen),
        None => Ok(Body::InPlace),
    }
}

/// Whether the return type is `impl Fn(..)`, from which the compiler learns what the closure's parameters are: only
/// where the closure is returned by the function itself.
fn returns_closure(output: &ReturnType) -> bool {
    let ReturnType::Type(_, ty) = output else {
        return false;
    };
    let Type::ImplTrait(opaque) = &**ty else {
        return false;
    };
    opaque.bounds.iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => bound
            .path
            .segments
            .last()
            .is_some_and(|segment| matches!(segment.arguments, PathArguments::Parenthesized(_))),
        _ => false,
    })
}

/// Whether the return type says of itself that it is a `Result`.
fn returns_result(output: &ReturnType) -> bool {
    let ReturnType::Type(_, ty) = output else {
        return false;
    };
    let Type::Path(ty) = &**ty else { return false };
    let last = ty.path.segments.last();
    last.is_some_and(|segment| segment.ident.to_string().ends_with("Result"))
}

fn returns_never(output: &ReturnType) -> bool {
    matches!(output, ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_)))
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
            "err" => self.err = Some(shown(input, Format::Display)?),
            "ret" => self.ret = Some(shown(input, Format::Debug)?),
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

/// Nothing, or in parentheses `Debug` or `Display` and `level = ...`.
fn shown(input: ParseStream<'_>, format: Format) -> Result<Shown> {
    let mut shown = Shown {
        format,
        level: None,
    };
    if !input.peek(syn::token::Paren) {
        return Ok(shown);
    }
    let content;
    syn::parenthesized!(content in input);
    while !content.is_empty() {
        let name: Ident = content.parse()?;
        match name.to_string().as_str() {
            "Debug" => shown.format = Format::Debug,
            "Display" => shown.format = Format::Display,
            "level" => shown.level = Some(level(&content)?),
            _ => {
                return Err(Error::new_spanned(
                    name,
                    "expected `Debug`, `Display` or `level = ...`",
                ));
            }
        }
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    Ok(shown)
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
