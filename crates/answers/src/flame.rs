//! Where a program spends what a profiler counted: a tree of functions, and who in it is the expensive one.
//!
//! ```text
//! stacks (text, value) ─▶ Flame ─▶ tree      each function under those that called it
//!                            ├──▶ functions  by what they took themselves, and with all they called
//!                            └──▶ libraries  by what is charged to them
//! ```
//!
//! There are two sides everywhere, the second of which is empty unless two selections are compared.
//!
//! Invariants: a node is at least as large as its children together; the sums of `own` of all nodes and of `charged` of all
//! libraries are the total of what was given; the order of the stacks has no influence on the answer.

mod frame;
pub mod library;
mod ranking;
#[cfg(test)]
mod tests;

use std::{cmp::Reverse, collections::HashMap};

use radiosonde_core::hash::FoldState;
use serde::Serialize;

pub use self::{
    frame::{FRAMES_MAX, Frame, Stack, TEXT_BYTES_MAX, TRUNCATED, frames, push_frame},
    ranking::{FunctionRow, LibraryRow, charged_to},
};

/// Which of two selections a stack is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first, or the only one.
    A,
    /// What it is compared with.
    B,
}

impl Side {
    const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

/// What each side has.
pub type Pair = [i64; 2];

/// Stacks, added up.
#[derive(Debug)]
pub struct Flame {
    frames: Vec<Known>,
    frame_numbers: HashMap<Identity, usize, FoldState>,
    /// The first is the root of all. A node comes after its parent.
    nodes: Vec<Node>,
    node_numbers: HashMap<(usize, usize), usize, FoldState>,
    libraries: ranking::Libraries,
    stacks: usize,
}

/// What makes two frames one: the line within a function does not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    function: String,
    file: String,
    module: String,
}

#[derive(Clone, Debug)]
struct Known {
    function: String,
    file: String,
    kind: String,
    library: usize,
}

#[derive(Clone, Debug)]
struct Node {
    parent: usize,
    frame: usize,
    own: Pair,
    total: Pair,
}

/// A function as the tree names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FrameRow {
    /// Its name.
    pub function: String,
    /// The library that it is of.
    pub library: String,
    /// Its source file; empty where it is not known.
    pub file: String,
    /// `cpython`, `native`, `kernel` ...; empty where it is not known.
    pub kind: String,
}

/// A flame graph's tree, in columns: the numbers of a node are at its place in each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// The functions that nodes name.
    pub frames: Vec<FrameRow>,
    /// The nodes. The first is the root, which is all that there is.
    pub nodes: Columns,
    /// Nodes that there are and that are not here, because they are smaller than all that are.
    pub left_out: usize,
}

/// See [`Tree`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Columns {
    /// The node that called it; of the root, itself. Always an earlier one.
    pub parent: Vec<usize>,
    /// Its function, by its place among the frames; of the root it says nothing.
    pub frame: Vec<usize>,
    /// What it took itself.
    pub own: Vec<i64>,
    /// What it and all that it called took.
    pub total: Vec<i64>,
    /// The same of the second side; empty where there is one only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub b_own: Vec<i64>,
    /// The same of the second side; empty where there is one only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub b_total: Vec<i64>,
}

impl Default for Flame {
    fn default() -> Self {
        let root = Node {
            parent: 0,
            frame: 0,
            own: [0; 2],
            total: [0; 2],
        };
        Self {
            frames: Vec::new(),
            frame_numbers: HashMap::default(),
            nodes: vec![root],
            node_numbers: HashMap::default(),
            libraries: ranking::Libraries::default(),
            stacks: 0,
        }
    }
}

impl Flame {
    /// Adds a stack, as [`push_frame`] wrote it.
    pub fn add(&mut self, side: Side, stack: &str, value: i64) {
        let at = side.index();
        self.stacks += 1;
        let mut node = 0;
        let mut path = Vec::new();
        self.take(0, at, value);
        for frame in frames(stack) {
            let number = self.frame(&frame);
            path.push(number);
            node = self.node(node, number);
            self.take(node, at, value);
        }
        self.nodes[node].own[at] = self.nodes[node].own[at].saturating_add(value);
        let libraries = path.iter().map(|number| self.frames[*number].library);
        self.libraries.add(at, libraries, value);
    }

    /// Adds what no stack is known of.
    pub fn add_unknown(&mut self, side: Side, value: i64) {
        let mut stack = String::new();
        push_frame(&mut stack, &Frame::named("(other stacks)"));
        self.add(side, &stack, value);
    }

    /// All that was added.
    pub fn total(&self) -> Pair {
        self.nodes[0].total
    }

    /// How many stacks were added.
    pub const fn stacks(&self) -> usize {
        self.stacks
    }

    fn take(&mut self, node: usize, at: usize, value: i64) {
        let total = &mut self.nodes[node].total[at];
        *total = total.saturating_add(value);
    }

    fn frame(&mut self, frame: &Frame<'_>) -> usize {
        let identity = Identity {
            function: frame.function.to_string(),
            file: frame.file.to_string(),
            module: frame.module.to_string(),
        };
        if let Some(&number) = self.frame_numbers.get(&identity) {
            return number;
        }
        let library = self.libraries.number(&library::of(frame));
        let number = self.frames.len();
        self.frames.push(Known {
            function: identity.function.clone(),
            file: identity.file.clone(),
            kind: frame.kind.to_string(),
            library,
        });
        self.frame_numbers.insert(identity, number);
        number
    }

    fn node(&mut self, parent: usize, frame: usize) -> usize {
        let next = self.nodes.len();
        let number = *self.node_numbers.entry((parent, frame)).or_insert(next);
        if number == next {
            self.nodes.push(Node {
                parent,
                frame,
                own: [0; 2],
                total: [0; 2],
            });
        }
        number
    }

    /// The tree, of its `nodes_max` largest nodes. Both sides are there where `is_pair`.
    pub fn tree(&self, nodes_max: usize, is_pair: bool) -> Tree {
        let weight = |node: &Node| {
            let [a, b] = node.total.map(i64::unsigned_abs);
            a.saturating_add(b)
        };
        // Names decide between equals, so that the order in which stacks came does not.
        let name = |node: &Node| {
            let frame = self.frames.get(node.frame);
            frame.map_or("", |frame| frame.function.as_str())
        };
        let depth = self.depths();
        let mut order: Vec<usize> = (1..self.nodes.len()).collect();
        order.sort_by(|&x, &y| {
            let (a, b) = (&self.nodes[x], &self.nodes[y]);
            (Reverse(weight(a)), depth[x])
                .cmp(&(Reverse(weight(b)), depth[y]))
                .then_with(|| name(a).cmp(name(b)))
        });
        let left_out = order.len().saturating_sub(nodes_max.max(1) - 1);
        order.truncate(nodes_max.max(1) - 1);
        let mut tree = Tree {
            left_out,
            ..Tree::default()
        };
        let mut node_places: HashMap<usize, usize, FoldState> = HashMap::default();
        let mut frame_places: HashMap<usize, usize, FoldState> = HashMap::default();
        for node in std::iter::once(0).chain(order) {
            let Node {
                parent,
                frame,
                own,
                total,
            } = &self.nodes[node];
            // The parent is at least as large and less deep, so it came before; but for values below zero.
            let Some(parent) = (if node == 0 {
                Some(0)
            } else {
                node_places.get(parent).copied()
            }) else {
                tree.left_out += 1;
                continue;
            };
            node_places.insert(node, tree.nodes.parent.len());
            let frame = if node == 0 {
                0
            } else {
                let next = tree.frames.len();
                let place = *frame_places.entry(*frame).or_insert(next);
                if place == next {
                    tree.frames.push(self.frame_row(*frame));
                }
                place
            };
            tree.nodes.push(parent, frame, *own, *total, is_pair);
        }
        tree
    }

    fn depths(&self) -> Vec<usize> {
        let mut depths = vec![0; self.nodes.len()];
        for node in 1..self.nodes.len() {
            depths[node] = depths[self.nodes[node].parent] + 1;
        }
        depths
    }

    fn frame_row(&self, frame: usize) -> FrameRow {
        let known = &self.frames[frame];
        FrameRow {
            function: known.function.clone(),
            library: self.libraries.name(known.library).to_owned(),
            file: known.file.clone(),
            kind: known.kind.clone(),
        }
    }
}

impl Columns {
    fn push(&mut self, parent: usize, frame: usize, own: Pair, total: Pair, is_pair: bool) {
        self.parent.push(parent);
        self.frame.push(frame);
        self.own.push(own[0]);
        self.total.push(total[0]);
        if is_pair {
            self.b_own.push(own[1]);
            self.b_total.push(total[1]);
        }
    }
}
