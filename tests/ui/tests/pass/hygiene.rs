//! The macros mean the same where every name they might use is taken by the caller.

#![deny(warnings)]
#![expect(
    dead_code,
    non_upper_case_globals,
    unused_macros,
    reason = "the names only have to be there"
)]

extern crate radiosonde_core as renamed;

/// Macros of the prelude, every one of which the caller has another for.
#[macro_use]
mod taken {
    macro_rules! take {
        ($($name:ident)*) => { $(
            macro_rules! $name { ($any:tt) => { compile_error!("not ours") } }
        )* };
    }
    take! {
        concat stringify module_path file line column format format_args vec matches assert
        assert_eq debug_assert write writeln print println panic unreachable env option_env cfg
        span info_span info debug trace event_enabled callsite valueset fieldset record_all
    }
}

mod std {}
mod core {}
mod alloc {}
mod serde {}
mod tracing {}
mod radiosonde_core {}

struct Result;
struct Option;
struct String;
struct Vec;
struct Box;
struct Some;
struct None;
struct Ok;
struct Err;
struct Descriptor;
struct Role;
struct Gate;
struct Call;
struct Span;
struct Level;
trait Default {}
trait From {}
trait Into {}
trait Iterator {}
trait IntoIterator {}
trait Fn {}
trait FnOnce {}
trait Drop {}
trait Send {}
trait Sync {}
trait Sized {}
trait Clone {}
trait Serialize {}
trait Deserialize {}
trait Encoder {}
fn drop() {}

/// Items that no pattern and no expression of a macro may find.
const event: u8 = 1;
const probe: u8 = 2;
const value: u8 = 3;
const _span: u64 = 5;
const __span: u8 = 4;
const __call: u8 = 5;
const __value: u8 = 6;
const __result: u8 = 7;
const __error: u8 = 8;
const __error_type: u8 = 9;
const __cause: u8 = 10;
const __encoder: u8 = 11;
const __serializer: u8 = 12;
const __deserializer: u8 = 13;
const __SITE: u8 = 14;
const GATE: u64 = 40;
const DESCRIPTOR: u64 = 50;

/// Methods that everything has, and that are found before those that borrow.
trait Everywhere: ::core::marker::Sized {
    fn shown(self) {}
    fn error_type(self) {}
    fn is_open(self) {}
    fn record(self) {}
    fn entered(self) {}
    fn enter(self) {}
    fn follows_from(self) {}
    fn encode(self) {}
    fn field(self) {}
    fn whole_micros(self) {}
}
impl<T> Everywhere for T {}

/// An event.
#[derive(radiosonde_core_event::Event)]
#[event(name = "hygiene.event")]
struct Happened<'a, T, const N: usize>
where
    T: ::core::marker::Copy,
{
    /// Text.
    #[label]
    text: &'a str,
    /// Anything.
    anything: T,
    /// A keyword.
    r#type: u8,
    /// A duration, which is written twice.
    duration: ::core::time::Duration,
    /// May be absent.
    absent: ::core::option::Option<[u64; N]>,
}

/// What the derive is called here: the module above has taken the crate's own name.
mod radiosonde_core_event {
    pub use ::radiosonde_core::Event;
}

#[::radiosonde_core::instrument(err, ret, follows_from = [::radiosonde_core::__private::tracing::Span::none()])]
fn halve(number: u64) -> ::core::result::Result<u64, &'static str> {
    if number % 2 == 0 {
        ::core::result::Result::Ok(number / 2)
    } else {
        ::core::result::Result::Err("odd")
    }
}

#[::radiosonde_core::instrument(ret)]
#[track_caller]
fn in_place(number: u64) -> u64 {
    number
}

#[::radiosonde_core::instrument]
fn closure(number: u64) -> impl ::core::ops::Fn(u64) -> u64 {
    move |other| number + other
}

#[renamed::instrument(crate = renamed)]
async fn later<T>(_value: T) -> u64 {
    GATE
}

/// An event of a crate that is called something else here.
#[derive(renamed::Event)]
#[event(name = "hygiene.renamed", crate = renamed)]
struct Renamed {
    /// How many.
    #[measure(counter, unit = "{thing}")]
    things: u64,
}

renamed::event_macro! {
    burst,
    /// A burst.
    #[event(name = "hygiene.burst")]
    struct Burst {
        /// How many.
        #[measure(counter, unit = "{spike}")]
        spikes: u64,
        /// Not shown by `tracing`.
        shape: [u64; 2],
    }
}

fn main() {
    let name = 1_u64;
    ::radiosonde_core::record!(Happened {
        text: "a",
        anything: name + GATE,
        r#type: event + probe + value,
        duration: ::core::time::Duration::from_nanos(DESCRIPTOR),
        absent: ::core::option::Option::Some([GATE]),
    });
    renamed::record!(Renamed { things: GATE });
    ::radiosonde_core::event!("hygiene.ad_hoc", gate = GATE, a.b = DESCRIPTOR);
    renamed::event!(Warn, "hygiene.other", value = value);
    let inside = ::radiosonde_core::profile!("block", number = GATE, { _span + name });
    ::radiosonde_core::macros::instrument!("scope", value, GATE);
    renamed::macros::scope!("again");
    let burst = burst!(spikes = GATE, shape = [name, DESCRIPTOR], { inside });
    let halved = halve(burst);
    ::core::assert!(burst == 6 && ::core::matches!(halved, ::core::result::Result::Ok(3)));
    ::core::assert!(closure(in_place(1))(2) == 3);
    ::core::mem::drop(later(Result));
}
