//! What most files of an instrumented program name, in one import. Beside `tracing`'s own macros that is enough to
//! record with; what is set up once, `init` and its builder, is named where it is used.
//!
//! ```
//! use radiosonde::prelude::*;
//!
//! /// Tokens were generated.
//! #[derive(Event)]
//! #[event(name = "chat.generated")]
//! struct Generated<'a> {
//!     /// The model.
//!     #[label]
//!     model: &'a str,
//!     /// How many tokens.
//!     #[measure(counter, unit = "{token}")]
//!     tokens: u64,
//! }
//!
//! #[instrument]
//! fn generate(prompt: &str) -> u64 {
//!     scope!("generate", model = "tiny");
//!     let tokens = profile!("forward", { prompt.len() as u64 });
//!     record!(Generated { model: "tiny", tokens });
//!     event!("chat.finished", reason = "length");
//!     tokens
//! }
//!
//! let _guard = radiosonde::init()?;
//! assert_eq!(generate("Hello"), 5);
//! # Ok::<(), radiosonde::InitError>(())
//! ```

pub use crate::{
    Event, event, event_macro, instrument,
    macros::{profile, record, scope},
};
