//! A column of text that repeats from row to row: each text once, and a number for each row.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, DictionaryArray, Int32Array, StringArray},
    error::ArrowError,
};
use radiosonde_core::hash::FoldState;

#[derive(Debug, Default)]
pub(super) struct LabelColumn {
    texts: Vec<String>,
    numbers: HashMap<String, i32, FoldState>,
    rows: Vec<i32>,
    /// That of the row before: the next one often has the same.
    last: i32,
}

impl LabelColumn {
    pub(super) fn push(&mut self, text: &str) {
        let is_last = self
            .texts
            .get(self.last as usize)
            .is_some_and(|last| last == text);
        if !is_last {
            self.last = self.number(text);
        }
        self.rows.push(self.last);
    }

    fn number(&mut self, text: &str) -> i32 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        // A batch has far fewer rows than an `i32` has numbers.
        let number = self.texts.len() as i32;
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    pub(super) fn finish(self) -> Result<ArrayRef, ArrowError> {
        let texts = Arc::new(StringArray::from_iter_values(self.texts));
        let labels = DictionaryArray::try_new(Int32Array::from(self.rows), texts)?;
        Ok(Arc::new(labels))
    }
}
