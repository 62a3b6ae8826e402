//! [`model`](super::model) to a function. Everything is named through the hidden runtime module, and what the caller
//! could meet has a name that begins with `__rs`: items are not hygienic, and a binding whose name is a constant's is
//! a comparison with it.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::{
    Block, Expr, Ident, ReturnType, Stmt, Type, parse_quote,
    visit_mut::{self, VisitMut},
};

use super::{
    model::{Body, Format, Function, Shown},
    parse,
};

pub(crate) fn function(function: Function) -> TokenStream {
    let setup = setup(&function);
    let outcome = outcome(&function);
    let Function {
        mut item,
        arguments,
        body,
        ..
    } = function;
    let block = &item.block;
    let statements = &block.stmts;
    let cpu = arguments.cpu;
    let returned = returned(&item.sig.output);
    let replacement: Block = match body {
        Body::Unseen => parse_quote!({
            #setup
            let __rs_call = __rs::guard(&__RS_SITE, &__rs_span, #cpu, __rs_log);
            #(#statements)*
        }),
        Body::InPlace => {
            let ty = returned.unwrap_or_else(|| parse_quote!(()));
            parse_quote!({
                #setup
                let __rs_call = __rs::guard(&__RS_SITE, &__rs_span, #cpu, __rs_log);
                // What follows could be reached, whatever the body does: the caller is not to be warned of it.
                let __rs_result: #ty = '__rs: {
                    if false {
                        break '__rs __rs::never();
                    }
                    #(#statements)*
                };
                __rs::Guard::end(__rs_call, &__rs_result, #outcome);
                __rs_result
            })
        }
        Body::Sync => {
            // Also where nothing is returned: a body that never ends would have the type of whatever the outcome asks for.
            let arrow = returned.map_or_else(|| quote!(-> ()), |ty| quote!(-> #ty));
            parse_quote!({
                #setup
                __rs::call(&__RS_SITE, &__rs_span, #cpu, __rs_log, move || #arrow #block, #outcome)
            })
        }
        Body::Async => asynchronous(&setup, returned, statements, &outcome),
        Body::Returned => {
            let mut block = (**block).clone();
            wrap_returned(&mut block, &setup, &outcome);
            block
        }
    };
    *item.block = replacement;
    item.into_token_stream()
}

/// The body of an `async fn`.
fn asynchronous(
    setup: &TokenStream,
    returned: Option<Type>,
    statements: &[Stmt],
    outcome: &TokenStream,
) -> Block {
    // The type `!` cannot be named: what never returns has a value of no other type that has none.
    let never = matches!(returned, Some(Type::Never(_)));
    let ty = match returned {
        Some(_) if never => quote!(__rs::core::convert::Infallible),
        Some(ty) => quote!(#ty),
        None => quote!(()),
    };
    // The condition says what the block's value is, which an async block cannot say of itself.
    let call = quote! {
        __rs::call_future(
            &__RS_SITE,
            __rs_span,
            __rs_log,
            async move {
                if false {
                    return __rs::never::<#ty>();
                }
                #(#statements)*
            },
            #outcome
        ).await
    };
    let call = if never { quote!(match #call {}) } else { call };
    parse_quote!({ #setup #call })
}

/// The callsite, the span, and what logs a call whose result is not shown.
fn setup(function: &Function) -> TokenStream {
    let Function {
        runtime,
        arguments,
        recorded,
        ..
    } = function;
    let plain = plain_name(function);
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
            for __rs_cause in #spans {
                __rs::tracing::Span::follows_from(&__rs_span, &__rs_cause);
            }
        }
    });
    let log = log(function);
    quote! {
        use #runtime::__private as __rs;
        #show
        // Its path says which type's method it is in. A nested function sees no generics, so there is one of it.
        fn __rs_here() -> &'static __rs::core::primitive::str {
            __rs::path_of(__rs_here)
        }
        static __RS_SITE: __rs::CallSite = __rs::CallSite::new(
            __rs_here,
            __rs::core::concat!(__rs::core::module_path!(), "::", #plain),
        );
        let __rs_span = if __rs::COMPILED_IN {
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
        #log
    }
}

/// The function's name as it is spoken.
fn plain_name(function: &Function) -> String {
    let name = function.item.sig.ident.to_string();
    name.trim_start_matches("r#").to_owned()
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

/// Logs a call of which no value is shown, at the span's level or as an error.
fn log(function: &Function) -> TokenStream {
    let target = target(function);
    let level = level(function);
    let name = plain_name(function);
    let (returned, failed) = (format!("{name} returned"), format!("{name} failed"));
    let cancelled = matches!(function.body, Body::Async | Body::Returned).then(|| {
        let cancelled = format!("{name} was cancelled");
        quote! {
            __rs::Ended::Cancelled => {
                __rs::tracing::event!(target: #target, __rs::tracing::Level::#level, #cancelled);
            }
        }
    });
    quote! {
        let __rs_log: fn(__rs::Ended) = |__rs_ended| match __rs_ended {
            __rs::Ended::Failed(__rs_error_type) => {
                __rs::tracing::event!(
                    target: #target,
                    __rs::tracing::Level::ERROR,
                    "error.type" = __rs_error_type,
                    #failed
                );
            }
            #cancelled
            _ => {
                __rs::tracing::event!(target: #target, __rs::tracing::Level::#level, #returned);
            }
        };
    }
}

/// A closure that logs a result and says which error it is.
fn outcome(function: &Function) -> TokenStream {
    let target = target(function);
    let name = plain_name(function);
    let (returned, failed) = (format!("{name} returned"), format!("{name} failed"));
    let arguments = &function.arguments;
    let ok = match &arguments.ret {
        None => quote!(__rs_log(__rs::Ended::Returned);),
        Some(shown) => {
            let value = written(shown.format, &quote!(__rs_value));
            let level = shown.level.clone().unwrap_or_else(|| level(function));
            quote! {
                __rs::tracing::event!(target: #target, __rs::tracing::Level::#level, return = #value, #returned);
            }
        }
    };
    // With `err` the result is a `Result`, so that its error can be shown and `ret` shows the value inside.
    let logs = if let Some(shown) = &arguments.err {
        let value = written(shown.format, &quote!(__rs_error));
        let level = error_level(shown);
        quote! {
            match __rs_result {
                __rs::core::result::Result::Ok(__rs_value) => { #ok }
                __rs::core::result::Result::Err(__rs_error) => {
                    __rs::tracing::event!(
                        target: #target,
                        __rs::tracing::Level::#level,
                        error = #value,
                        "error.type" = __rs_error_type,
                        #failed
                    );
                }
            }
        }
    } else {
        let failed = match &arguments.ret {
            None => quote!(__rs_log(__rs::Ended::Failed(__rs_error_type));),
            Some(shown) => {
                let value = written(shown.format, &quote!(__rs_value));
                quote! {
                    __rs::tracing::event!(
                        target: #target,
                        __rs::tracing::Level::ERROR,
                        return = #value,
                        "error.type" = __rs_error_type,
                        #failed
                    );
                }
            }
        };
        quote! {
            let __rs_value = __rs_result;
            match __rs_error_type {
                __rs::core::option::Option::None => { #ok }
                __rs::core::option::Option::Some(__rs_error_type) => { #failed }
            }
        }
    };
    quote! {
        |__rs_result| {
            use __rs::outcome::*;
            let __rs_error_type = (&&__rs::Outcome(__rs_result)).__rs_error_type();
            #logs
            __rs_error_type
        }
    }
}

fn error_level(shown: &Shown) -> Ident {
    let level = shown.level.clone();
    level.unwrap_or_else(|| Ident::new("ERROR", Span::call_site()))
}

fn written(format: Format, value: &TokenStream) -> TokenStream {
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
    let body = &inner.block;
    inner.block = parse_quote!({
        #setup
        __rs::call_future(&__RS_SITE, __rs_span, __rs_log, async move #body, #outcome).await
    });
    // The span's fields are arguments, which the future must own even where its body does not name them.
    inner.capture.get_or_insert_with(Default::default);
}
