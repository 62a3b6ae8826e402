//! [`model`](super::model) to a function. Everything is named through the hidden runtime module.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::{
    Block, Expr, Ident, PathArguments, ReturnType, Stmt, Type, TypeParamBound, parse_quote,
    visit_mut::{self, VisitMut},
};

use super::{
    model::{Body, Format, Function},
    parse,
};

pub(crate) fn function(function: Function) -> TokenStream {
    let setup = setup(&function);
    let outcome = outcome(&function);
    let returned_log = returned_log(&function);
    let Function {
        mut item,
        arguments,
        body,
        ..
    } = function;
    let block = &item.block;
    let cpu = arguments.cpu;
    let returned = returned(&item.sig.output);
    let replacement: Block = match body {
        Body::Sync if arguments.shows_nothing() && returns_closure(&item.sig.output) => {
            parse_quote!({
                #setup
                let __call = __rs::guard(&__SITE, &__span, #cpu, || { #returned_log });
                #block
            })
        }
        Body::Sync => {
            let arrow = returned.as_ref().map(|ty| quote!(-> #ty));
            parse_quote!({
                #setup
                __rs::call(&__SITE, &__span, #cpu, move || #arrow #block, #outcome)
            })
        }
        // The type `!` cannot be named: what never returns has a value of no other type that has none.
        Body::Async if matches!(returned, Some(Type::Never(_))) => {
            let statements = &block.stmts;
            parse_quote!({
                #setup
                match __rs::call_future(
                    &__SITE,
                    __span,
                    async move {
                        if false {
                            return __rs::never::<__rs::core::convert::Infallible>();
                        }
                        #(#statements)*
                    },
                    #outcome
                ).await {}
            })
        }
        Body::Async => {
            let ty = returned.unwrap_or_else(|| parse_quote!(()));
            let statements = &block.stmts;
            // Says what the block's value is, which an async block cannot say of itself.
            let hint = quote! {
                if false {
                    return __rs::never::<#ty>();
                }
            };
            parse_quote!({
                #setup
                __rs::call_future(&__SITE, __span, async move { #hint #(#statements)* }, #outcome).await
            })
        }
        Body::Returned => {
            let mut block = (**block).clone();
            wrap_returned(&mut block, &setup, &outcome);
            block
        }
    };
    *item.block = replacement;
    item.into_token_stream()
}

/// The span and the callsite.
fn setup(function: &Function) -> TokenStream {
    let Function {
        item,
        runtime,
        arguments,
        recorded,
        ..
    } = function;
    let ident = &item.sig.ident;
    let plain = ident.to_string();
    let plain = plain.trim_start_matches("r#");
    let name = arguments
        .name
        .as_ref()
        .map_or_else(|| quote!(#plain), |name| quote!(#name));
    let level = level(function);
    let target = target(function);
    let parent = arguments
        .parent
        .as_ref()
        .map(|parent| quote!(parent: #parent,));
    let fields = &arguments.fields;
    let fields = if fields.is_empty() || ends_with_comma(fields) {
        quote!(#fields)
    } else {
        quote!(#fields,)
    };
    let cpu = arguments
        .cpu
        .then(|| quote!("thread.cpu.duration" = __rs::tracing::field::Empty,));
    let show = (!recorded.is_empty()).then(|| {
        quote!(
            use __rs::show::*;
        )
    });
    let follows = arguments.follows_from.as_ref().map(|spans| {
        quote! {
            for __cause in #spans {
                __rs::tracing::Span::follows_from(&__span, &__cause);
            }
        }
    });
    quote! {
        use #runtime::__private as __rs;
        #show
        static __SITE: __rs::CallSite = __rs::CallSite::new(
            __rs::core::concat!(__rs::core::module_path!(), "::", #plain),
        );
        let __span = if __rs::COMPILED_IN {
            __rs::tracing::span!(
                target: #target,
                #parent
                __rs::tracing::Level::#level,
                #name,
                #(#recorded = (&&&__rs::Shown(&#recorded)).__rs_shown(),)*
                #fields
                #cpu
                "error.type" = __rs::tracing::field::Empty,
                "otel.status_code" = __rs::tracing::field::Empty,
            )
        } else {
            __rs::tracing::Span::none()
        };
        #follows
    }
}

fn ends_with_comma(tokens: &TokenStream) -> bool {
    let last = tokens.clone().into_iter().last();
    matches!(last, Some(proc_macro2::TokenTree::Punct(comma)) if comma.as_char() == ',')
}

fn level(function: &Function) -> Ident {
    let level = function.arguments.level.clone();
    level.unwrap_or_else(|| Ident::new("INFO", Span::call_site()))
}

fn target(function: &Function) -> TokenStream {
    let target = function.arguments.target.as_ref();
    target.map_or_else(
        || quote!(__rs::core::module_path!()),
        |target| quote!(#target),
    )
}

/// A closure that logs a result and says which error it is.
fn outcome(function: &Function) -> TokenStream {
    let target = target(function);
    let level = level(function);
    let name = &function.item.sig.ident;
    let (returned, failed) = (format!("{name} returned"), format!("{name} failed"));
    let arguments = &function.arguments;
    let ok = match arguments.ret {
        None => returned_log(function),
        Some(format) => {
            let value = shown(format, &quote!(__value));
            quote! {
                __rs::tracing::event!(target: #target, __rs::tracing::Level::#level, return = #value, #returned);
            }
        }
    };
    // With `err` the result is a `Result`, so that its error can be shown and `ret` shows the value inside.
    let logs = if let Some(format) = arguments.err {
        let value = shown(format, &quote!(__error));
        quote! {
            match __result {
                __rs::core::result::Result::Ok(__value) => { #ok }
                __rs::core::result::Result::Err(__error) => {
                    __rs::tracing::event!(
                        target: #target,
                        __rs::tracing::Level::ERROR,
                        error = #value,
                        "error.type" = __error_type,
                        #failed
                    );
                }
            }
        }
    } else {
        quote! {
            let __value = __result;
            match __error_type {
                __rs::core::option::Option::None => { #ok }
                __rs::core::option::Option::Some(__error_type) => {
                    __rs::tracing::event!(
                        target: #target,
                        __rs::tracing::Level::DEBUG,
                        "error.type" = __error_type,
                        #failed
                    );
                }
            }
        }
    };
    quote! {
        |__result| {
            use __rs::outcome::*;
            let __error_type = (&&__rs::Outcome(__result)).__rs_error_type();
            #logs
            __error_type
        }
    }
}

/// Logs that the function returned, without saying what.
fn returned_log(function: &Function) -> TokenStream {
    let target = target(function);
    let returned = format!("{} returned", function.item.sig.ident);
    quote! {
        __rs::tracing::event!(target: #target, __rs::tracing::Level::DEBUG, #returned);
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

fn shown(format: Format, value: &TokenStream) -> TokenStream {
    match format {
        Format::Display => quote!(%#value),
        Format::Debug => quote!(?#value),
    }
}

/// The return type where one is written, with `_` for what only the body can tell.
fn returned(output: &ReturnType) -> Option<Type> {
    struct Erase;
    impl VisitMut for Erase {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if let Type::ImplTrait(_) = ty {
                *ty = parse_quote!(_);
            } else {
                visit_mut::visit_type_mut(self, ty);
            }
        }
    }
    let ReturnType::Type(_, ty) = output else {
        return None;
    };
    let mut ty = (**ty).clone();
    Erase.visit_type_mut(&mut ty);
    Some(ty)
}

/// Puts the call around the `async` block that ends `block`.
fn wrap_returned(block: &mut Block, setup: &TokenStream, outcome: &TokenStream) {
    let Some(Stmt::Expr(last, None)) = block.stmts.last_mut() else {
        return;
    };
    let inner = match last {
        Expr::Async(inner) => inner,
        Expr::Call(call) if parse::boxed(call).is_some() => match call.args.first_mut() {
            Some(Expr::Async(inner)) => inner,
            _ => return,
        },
        _ => return,
    };
    let capture = inner.capture;
    let body = &inner.block;
    inner.block = parse_quote!({
        #setup
        __rs::call_future(&__SITE, __span, async #capture #body, #outcome).await
    });
}
