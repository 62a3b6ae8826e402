//! Attribute and derive macros of Radiosonde: `#[derive(Event)]` and `#[instrument]`.
//!
//! Each macro parses tokens into a model, checks every rule on the model, and expands it; the expansion names
//! nothing but one hidden runtime module, so that what the caller has in scope cannot change its meaning; its own names
//! begin with `__rs`, or `__RS` in capitals. An error points at the token that is wrong.
//!
//! Every macro exists twice: the plain one expands to paths of `radiosonde-core` and is re-exported there, the one
//! with `_from_radiosonde` in its name expands to paths of `radiosonde` and is re-exported there under the
//! plain name. So a crate needs only the one of the two that it depends on.

#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use quote::quote;

mod event;
mod instrument;

/// Writes the `Event` implementation, and JSON in both directions, of a struct.
///
/// See the documentation of the `Event` trait for the attributes.
#[proc_macro_derive(Event, attributes(event, label, measure))]
pub fn derive_event(item: TokenStream) -> TokenStream {
    event::derive(item.into(), &quote!(::radiosonde_core)).into()
}

#[doc(hidden)]
#[proc_macro_derive(EventFromRadiosonde, attributes(event, label, measure))]
pub fn derive_event_from_radiosonde(item: TokenStream) -> TokenStream {
    event::derive(item.into(), &quote!(::radiosonde)).into()
}

/// Observes every call of a function: a span, a log line, a call counter, an error counter and a duration histogram.
///
/// Works on `fn`, `async fn`, functions that return `Box::pin(async ...)` or an `async` block (so under
/// `#[async_trait]` too) and methods. A call that returns `Err`, panics (the panic goes on) or whose future is dropped
/// before it is done counts as an error, by `error.type`.
///
/// Log: one line a call, inside its span. `... returned` and `... was cancelled` have the span's level, `info` unless
/// `level` says otherwise; `... failed`, after an `Err` or a panic, has the level `error` and the `error.type`, whatever
/// the span's level is. So with the default filter each call of a function without `level` is a line beside its span,
/// because the span is recorded at that level anyway and whoever reads only lines is to see the call as well. A function that
/// is called very often has `level = "debug"`, which turns its span and line off together: its failures are still
/// logged, and its metrics still count every call. `err` and `ret` add values to that one line, and add no line.
///
/// Metrics: `function.calls`, `function.errors` and `function.duration` in seconds, labelled with the `function`'s path.
/// They are measured for every call, whether or not the filter keeps the span. The path is the whole one, as in a stack
/// trace and OpenTelemetry's `code.function.name`: `shop::Cart::add`, or `<shop::Cart as shop::Priced>::price`. Of a generic
/// type all instances share one series.
///
/// Arguments become fields of the span: numbers, text and `bool` with their type, others as `Debug` shows them, what
/// cannot be shown not at all. `self` is left out. Arguments of the attribute, all optional:
///
/// | argument | meaning |
/// |---|---|
/// | `name = "..."` | the span's name instead of the function's |
/// | `level = "debug"` | the span's level instead of `info` |
/// | `target = "..."` | the span's target instead of the module |
/// | `skip(a, b)`, `skip_all` | arguments that do not become fields |
/// | `fields(a = 1, b = %text, c)` | further fields, as in `tracing`'s macros; they replace arguments of their name |
/// | `err`, `err(Debug)`, `err(level = "warn")` | the line of an `Err` has the error's text, and that level instead of `error` |
/// | `ret`, `ret(Display)`, `ret(level = "debug")` | the line of a call has the returned value, and that level instead of the span's |
/// | `parent = span` | the parent instead of the current span; `None` for a root |
/// | `follows_from = spans` | spans that this one follows from |
/// | `cpu` | record the thread's processor time in the field `thread.cpu.duration`, in nanoseconds (about 0.4 us a call) |
/// | `crate = path` | the crate that holds the runtime, for one that renames its dependency |
///
/// The body of a `#[track_caller]` function stays in place, so that it is told its caller. Its value is seen where it is
/// the last expression's: what leaves earlier counts as returned, and the attribute refuses a `?` or `return` of a function
/// that says it returns a `Result`, or has `err` or `ret`. It refuses an early `return` too where the function's future is
/// the `async` block that ends it.
#[proc_macro_attribute]
pub fn instrument(arguments: TokenStream, item: TokenStream) -> TokenStream {
    instrument::attribute(arguments.into(), &item.into(), &quote!(::radiosonde_core)).into()
}

#[doc(hidden)]
#[proc_macro_attribute]
pub fn instrument_from_radiosonde(arguments: TokenStream, item: TokenStream) -> TokenStream {
    instrument::attribute(arguments.into(), &item.into(), &quote!(::radiosonde)).into()
}
