//! The macros through this crate, where `std`, the prelude and the crate's own name are taken by the caller. That each
//! macro survives every name it might meet is tested in `tests/ui`.

#![deny(warnings)]

extern crate radiosonde as renamed;

mod std {}
mod core {}
mod radiosonde {}
mod radiosonde_core {}
mod tracing {}
struct Result;
#[expect(dead_code, reason = "only the name matters")]
struct Option;
#[expect(dead_code, reason = "only the name matters")]
struct Some;
#[expect(dead_code, reason = "only the name matters")]
struct Ok;

mod named {
    pub(super) use ::radiosonde::{Event, instrument};
}

/// An event.
#[derive(named::Event)]
#[event(name = "hygiene.named")]
struct Named {
    /// How many.
    #[measure(counter, unit = "{thing}")]
    things: u64,
}

/// An event of a crate that is called something else here.
#[derive(renamed::Event)]
#[event(name = "hygiene.renamed", crate = renamed)]
struct Renamed<'a> {
    /// Text.
    #[label]
    text: &'a str,
}

renamed::event_macro! {
    burst,
    /// A burst.
    #[event(name = "hygiene.burst")]
    struct Burst {
        /// How many.
        spikes: u64,
    }
}

#[named::instrument(err)]
fn halve(number: u64) -> ::core::result::Result<u64, &'static str> {
    if number.is_multiple_of(2) {
        ::core::result::Result::Ok(number / 2)
    } else {
        ::core::result::Result::Err("odd")
    }
}

#[renamed::instrument(crate = renamed, ret)]
async fn later(_: Result) -> u64 {
    halve(8).unwrap_or(0)
}

#[test]
fn the_macros_work_through_any_name_of_this_crate() {
    ::radiosonde::record!(Named { things: 1 });
    renamed::record!(Renamed { text: "a" });
    ::radiosonde::event!("hygiene.ad_hoc", a.b = 1_u64);
    renamed::macros::scope!("scope", number = 1);
    let value = renamed::profile!("block", { burst!(spikes = 2, { 3 }) });
    let mut future = ::core::pin::pin!(later(Result));
    let ready = ::core::future::Future::poll(
        future.as_mut(),
        &mut ::core::task::Context::from_waker(::core::task::Waker::noop()),
    );
    assert_eq!((value, ready), (3, ::core::task::Poll::Ready(4)));
}
