//! Why requests took as long as they did: those of a service, of an operation, of a time; their time added up, and what
//! makes the slow ones slow.

use radiosonde_answers::why::{self, Selection};
use serde::Serialize;

use super::{
    Api,
    params::Params,
    selection::{Described, Extent, Selector},
};
use crate::problem::Problem;

/// The account of a selection, and the same in words.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    text: String,
    selected: Selected,
    read: Extent,
    #[serde(flatten)]
    selection: Selection,
}

/// What was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Selected {
    #[serde(flatten)]
    described: Described,
    from_unix_ns: String,
    to_unix_ns: String,
}

impl Selected {
    pub(super) fn new(described: Described, range: super::params::Range) -> Self {
        Self {
            described,
            from_unix_ns: range.from_ns.to_string(),
            to_unix_ns: range.to_ns.to_string(),
        }
    }
}

pub(super) fn answer(api: &Api, params: &Params) -> Result<Answer, Problem> {
    let range = params.range()?;
    let described = Described {
        q: params.q.clone(),
        service: params.service.clone(),
        operation: params.operation.clone(),
        version: params.version.clone(),
    };
    let words = described.words();
    let read = Selector::Described(described.clone(), range).read(api, None)?;
    let spans = read.records.spans();
    let Some(mut selection) = why::selection(&read.records.side("", &spans), words.as_deref())
    else {
        let message = match words {
            Some(words) => format!("there are no requests of {words} in that time"),
            None => "there are no requests in that time".to_owned(),
        };
        let mend = "ask for a longer time, or look at the names: `sonde traces`, or the overview's operations";
        return Err(Problem::not_found(message, mend));
    };
    selection.account.not_assessed.extend(read.not_assessed(""));
    Ok(Answer {
        text: selection.to_string(),
        selected: Selected::new(described, range),
        read: read.extent,
        selection,
    })
}
