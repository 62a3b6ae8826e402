//! Who is the expensive one: libraries and functions by what they took.

use std::{cmp::Reverse, collections::HashMap};

use radiosonde_core::hash::FoldState;
use serde::Serialize;

use super::{Flame, Pair, library};

/// A library, and what it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LibraryRow {
    /// Its name.
    pub library: String,
    /// What its own functions took themselves.
    pub own: i64,
    /// The same, and what the kernel, the C library, an interpreter and the like took for it.
    pub charged: i64,
    /// What stacks took in which it is.
    pub total: i64,
    /// The same of the second side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b_own: Option<i64>,
    /// The same of the second side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b_charged: Option<i64>,
    /// The same of the second side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b_total: Option<i64>,
}

/// A function, wherever it was called from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionRow {
    /// Its name.
    pub function: String,
    /// The library that it is of.
    pub library: String,
    /// Its source file; empty where it is not known.
    pub file: String,
    /// What it took itself.
    pub own: i64,
    /// What it and all that it called took; once where it calls itself.
    pub total: i64,
    /// The same of the second side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b_own: Option<i64>,
    /// The same of the second side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b_total: Option<i64>,
}

/// What libraries took, as stacks are added.
#[derive(Debug, Default)]
pub(super) struct Libraries {
    names: Vec<String>,
    numbers: HashMap<String, usize, FoldState>,
    rows: Vec<Row>,
    /// The library that a stack without a frame is of.
    unknown: Option<usize>,
    /// How often a stack was added, so that a library counts once in each.
    stack: usize,
}

#[derive(Clone, Debug, Default)]
struct Row {
    own: Pair,
    charged: Pair,
    total: Pair,
    /// The last stack in which it was.
    stack: usize,
}

impl Libraries {
    pub(super) fn number(&mut self, name: &str) -> usize {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.names.len();
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        self.rows.push(Row::default());
        number
    }

    pub(super) fn name(&self, number: usize) -> &str {
        &self.names[number]
    }

    /// Adds a stack of functions that are of these libraries, the first that called the others first.
    pub(super) fn add(
        &mut self,
        at: usize,
        path: impl DoubleEndedIterator<Item = usize>,
        value: i64,
    ) {
        self.stack += 1;
        let (mut leaf, mut charged) = (None, None);
        for number in path.rev() {
            leaf = leaf.or(Some(number));
            if charged.is_none() && !library::is_servant(&self.names[number]) {
                charged = Some(number);
            }
            let row = &mut self.rows[number];
            if row.stack != self.stack {
                row.stack = self.stack;
                row.total[at] = row.total[at].saturating_add(value);
            }
        }
        let leaf = leaf.unwrap_or_else(|| {
            let unknown = match self.unknown {
                Some(unknown) => unknown,
                None => self.number(library::UNKNOWN),
            };
            self.unknown = Some(unknown);
            let total = &mut self.rows[unknown].total[at];
            *total = total.saturating_add(value);
            unknown
        });
        let own = &mut self.rows[leaf].own[at];
        *own = own.saturating_add(value);
        let charged = &mut self.rows[charged.unwrap_or(leaf)].charged[at];
        *charged = charged.saturating_add(value);
    }
}

/// The library that a stack is charged to, by the libraries of its frames, the first that called the others first: that of
/// the last one which is not a servant of others.
pub fn charged_to<'l>(libraries: impl DoubleEndedIterator<Item = &'l str>) -> &'l str {
    let mut leaf = None;
    for library in libraries.rev() {
        if !library::is_servant(library) {
            return library;
        }
        leaf = leaf.or(Some(library));
    }
    leaf.unwrap_or(library::UNKNOWN)
}

fn size(pair: Pair) -> u64 {
    let [a, b] = pair.map(i64::unsigned_abs);
    a.saturating_add(b)
}

impl Flame {
    /// The libraries, the one that most is charged to first.
    pub fn libraries(&self, is_pair: bool) -> Vec<LibraryRow> {
        let second = |pair: Pair| is_pair.then_some(pair[1]);
        let named = self.libraries.names.iter().zip(&self.libraries.rows);
        let mut rows: Vec<_> = named.collect();
        rows.sort_by_key(|(name, row)| {
            (Reverse(size(row.charged)), Reverse(size(row.total)), *name)
        });
        let row = |(name, row): (&String, &Row)| LibraryRow {
            library: name.clone(),
            own: row.own[0],
            charged: row.charged[0],
            total: row.total[0],
            b_own: second(row.own),
            b_charged: second(row.charged),
            b_total: second(row.total),
        };
        rows.into_iter().map(row).collect()
    }

    /// The `max` functions that took most themselves, and how many there are.
    pub fn functions(&self, max: usize, is_pair: bool) -> (Vec<FunctionRow>, usize) {
        let second = |pair: Pair| is_pair.then_some(pair[1]);
        let mut sums = vec![([0_i64; 2], [0_i64; 2]); self.frames.len()];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            let (own, total) = &mut sums[node.frame];
            let add = |to: &mut Pair, from: Pair| {
                to.iter_mut()
                    .zip(from)
                    .for_each(|(to, from)| *to = to.saturating_add(from));
            };
            add(own, node.own);
            if !self.calls_itself(at) {
                add(total, node.total);
            }
        }
        let mut order: Vec<usize> = (0..sums.len()).collect();
        let key = |at: &usize| {
            let known = &self.frames[*at];
            let (own, total) = sums[*at];
            (
                Reverse(size(own)),
                Reverse(size(total)),
                known.function.clone(),
                known.file.clone(),
            )
        };
        order.sort_by_cached_key(key);
        order.truncate(max);
        let row = |at: usize| {
            let known = &self.frames[at];
            let (own, total) = sums[at];
            FunctionRow {
                function: known.function.clone(),
                library: self.libraries.name(known.library).to_owned(),
                file: known.file.clone(),
                own: own[0],
                total: total[0],
                b_own: second(own),
                b_total: second(total),
            }
        };
        (order.into_iter().map(row).collect(), self.frames.len())
    }

    /// Whether the function of a node is among those that called it.
    fn calls_itself(&self, node: usize) -> bool {
        let frame = self.nodes[node].frame;
        let mut up = self.nodes[node].parent;
        while up != 0 {
            if self.nodes[up].frame == frame {
                return true;
            }
            up = self.nodes[up].parent;
        }
        false
    }
}
