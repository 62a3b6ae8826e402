//! `#[instrument]`: tokens to [`model`], model to a function around the caller's body.

use proc_macro2::TokenStream;
use syn::{Error, ItemFn, Result};

mod exits;
mod expand;
mod model;
mod parse;

/// The instrumented `item`, or its errors as `compile_error!` beside the item as it was, so that its callers do not
/// fail too. `runtime` is the crate that holds the hidden runtime unless the arguments name another.
pub(crate) fn attribute(
    arguments: TokenStream,
    item: &TokenStream,
    runtime: &TokenStream,
) -> TokenStream {
    instrumented(arguments, item.clone(), runtime).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote::quote!(#error #item)
    })
}

fn instrumented(
    arguments: TokenStream,
    item: TokenStream,
    runtime: &TokenStream,
) -> Result<TokenStream> {
    let item: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(
            error.span(),
            format_args!("#[instrument] goes on a function with a body: {error}"),
        )
    })?;
    let arguments = syn::parse2(arguments)?;
    Ok(expand::function(parse::function(arguments, item, runtime)?))
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn expand(arguments: TokenStream, item: &TokenStream) -> String {
        attribute(arguments, item, &quote!(::radiosonde_core)).to_string()
    }

    #[test]
    fn faults_are_reported_and_the_function_stays() {
        for (arguments, item, message) in [
            (
                quote!(colour),
                quote!(
                    fn f() {}
                ),
                "`colour` is not an argument",
            ),
            (
                quote!(skip(b)),
                quote!(
                    fn f(a: u8) {}
                ),
                "`b` is not an argument of the function",
            ),
            (
                quote!(level = "loud"),
                quote!(
                    fn f() {}
                ),
                "`loud` is not a level",
            ),
            (
                quote!(cpu),
                quote!(
                    async fn f() {}
                ),
                "`cpu` needs a function that stays on one thread",
            ),
            (
                quote!(),
                quote!(
                    const fn f() {}
                ),
                "a `const fn` cannot be observed",
            ),
            (
                quote!(err, err),
                quote!(
                    fn f() {}
                ),
                "`err` is given twice",
            ),
            (
                quote!(),
                quote!(
                    struct S;
                ),
                "goes on a function",
            ),
        ] {
            let expanded = expand(arguments, &item);
            assert!(expanded.contains("compile_error"), "{expanded}");
            assert!(
                expanded.contains(message),
                "missing {message:?} in {expanded}"
            );
            assert!(expanded.ends_with(&item.to_string()), "{expanded}");
        }
    }

    #[test]
    fn a_crate_under_another_name_is_all_that_is_named() {
        let arguments = quote!(crate = a::renamed, err, ret, cpu);
        let expanded = expand(
            arguments,
            &quote!(
                fn f(a: u8) -> Result<(), ()> {}
            ),
        );
        assert!(
            expanded.contains("use a :: renamed :: __private as __rs")
                && !expanded.contains("radiosonde"),
            "{expanded}"
        );
    }

    #[test]
    fn the_body_keeps_its_kind() {
        assert!(
            expand(
                quote!(),
                &quote!(
                    fn f() {}
                )
            )
            .contains("__rs :: call (")
        );
        for item in [
            quote!(
                async fn f() {}
            ),
            quote!(
                fn f() -> P {
                    let a = 1;
                    Box::pin(async move { a })
                }
            ),
            quote!(
                fn f() -> impl Future {
                    async move { 1 }
                }
            ),
        ] {
            let expanded = expand(quote!(), &item);
            assert!(expanded.contains("__rs :: call_future ("), "{expanded}");
        }
    }
}
