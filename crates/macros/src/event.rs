//! `#[derive(Event)]`: tokens to [`model`], model to implementation.

use proc_macro2::TokenStream;

mod expand;
mod model;
mod parse;

/// The implementations for `item`, or its errors as `compile_error!`. `runtime` is the crate that holds the
/// hidden runtime unless the item names another.
pub(crate) fn derive(item: TokenStream, runtime: &TokenStream) -> TokenStream {
    syn::parse2(item)
        .and_then(|input| parse::event(&input, runtime))
        .map_or_else(syn::Error::into_compile_error, |event| {
            expand::event(&event)
        })
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn errors(item: TokenStream) -> String {
        let input = syn::parse2(item).unwrap();
        match parse::event(&input, &quote!(::radiosonde_core)) {
            Ok(_) => String::new(),
            Err(errors) => errors
                .into_iter()
                .map(|error| error.to_string())
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    #[test]
    fn a_well_described_event_expands() {
        let expanded = derive(
            quote! {
                /// A batch left.
                #[event(name = "radiosonde.export", level = "debug", alias("export"), series_max = 5, type = "Export")]
                struct Exported<'a> {
                    /// Which.
                    #[label]
                    exporter: &'a str,
                    /// How long.
                    #[measure(histogram, bounds = [0.1, 1.0])]
                    duration: Duration,
                }
            },
            &quote!(::radiosonde_core),
        )
        .to_string();
        assert!(!expanded.contains("compile_error"), "{expanded}");
        assert!(
            expanded.contains("\"radiosonde.export.duration\""),
            "{expanded}"
        );
        assert!(expanded.contains("\"duration_ns\""), "{expanded}");
    }

    #[test]
    fn a_crate_under_another_name_is_all_that_is_named() {
        let expanded = derive(
            quote! {
                /// A batch left.
                #[event(name = "export", crate = renamed)]
                struct Exported<T> {
                    /// How much.
                    #[measure(counter)]
                    much: T,
                }
            },
            &quote!(::radiosonde_core),
        )
        .to_string();
        assert!(
            expanded.contains("use renamed :: __private as __rs")
                && !expanded.contains("radiosonde"),
            "{expanded}"
        );
    }

    #[test]
    fn every_fault_is_reported_in_one_go() {
        let errors = errors(quote! {
            #[event(name = "Radiosonde", level = "loud", colour = "red")]
            struct Exported {
                #[label]
                #[measure(counter)]
                exporter: u64,
                /// Help.
                #[measure(gauge, bounds = [2.0, 1.0])]
                size: u64,
                /// Help.
                #[event(rename = "size")]
                other: u64,
            }
        });
        for part in [
            "doc comment",
            "lower case",
            "`loud` is not a level",
            "`colour` is not an argument",
            "either a label or a measurement",
            "only a histogram has bounds",
            "`size` is already the name of another field",
        ] {
            assert!(errors.contains(part), "missing {part:?} in\n{errors}");
        }
    }

    #[test]
    fn what_cannot_be_an_event_is_refused() {
        assert!(
            errors(quote!(
                enum E {
                    A,
                }
            ))
            .contains("only a struct")
        );
        assert!(
            errors(quote!(
                struct E(u64);
            ))
            .contains("named fields")
        );
        assert!(
            errors(quote!(
                /** Help. */
                struct E;
            ))
            .contains("#[event(name = ")
        );
    }
}
