//! Paths of phases: cheap to clone, to compare and to find.

use std::{
    cmp::Ordering,
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher},
    sync::Arc,
};

use radiosonde_core::hash::{FoldState, Prehashed};

use super::{DEPTH_MAX, PATH_SEPARATOR, PATHS_MAX};
use crate::natural;

/// Longest path that is found again by its text, in bytes; a longer one is taken apart each time.
const KNOWN_BYTES_MAX: usize = 512;

/// A map whose keys are paths, which know their hashes.
pub(super) type PathMap<T> = HashMap<Path, T, BuildHasherDefault<Prehashed>>;

/// The paths of one window: by their text, so that one that comes again is not taken apart again.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// At most [`PATHS_MAX`].
    known: HashMap<String, Path, FoldState>,
    /// Hashes names: the same names have the same hash in all of the window's maps.
    state: FoldState,
}

impl Paths {
    /// The path that `text` is; `None` where it is too deep, or a name is empty.
    pub(super) fn path(&mut self, text: &str) -> Option<Path> {
        if let Some(path) = self.known.get(text) {
            return Some(path.clone());
        }
        let path = self.parse(text)?;
        if text.len() <= KNOWN_BYTES_MAX {
            if self.known.len() == PATHS_MAX {
                self.known.clear();
            }
            self.known.insert(text.to_owned(), path.clone());
        }
        Some(path)
    }

    fn parse(&self, text: &str) -> Option<Path> {
        let mut path = None;
        let mut end = 0;
        for (depth, name) in text.split(PATH_SEPARATOR).enumerate() {
            if depth == DEPTH_MAX || name.is_empty() {
                return None;
            }
            end += usize::from(depth > 0) + name.len();
            // Paths share the outer ones, where they are known: those compare as pointers.
            path = Some(match self.known.get(&text[..end]) {
                Some(known) => known.clone(),
                None => self.inside(path, name),
            });
        }
        path
    }

    /// The phase called `name` inside of `parent`.
    pub(super) fn inside(&self, parent: Option<Path>, name: &str) -> Path {
        let mut names = parent
            .as_ref()
            .map_or_else(Vec::new, |parent| parent.names().to_vec());
        names.push(name.to_owned());
        Path(Arc::new(Names {
            hash: self.state.hash_one(&names),
            all: names,
            parent,
        }))
    }
}

/// Names from the root phase inwards, ordered as the rows are. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Path(Arc<Names>);

#[derive(Debug)]
struct Names {
    hash: u64,
    parent: Option<Path>,
    all: Vec<String>,
}

impl Path {
    pub(super) fn names(&self) -> &[String] {
        &self.0.all
    }

    pub(super) fn root(&self) -> &str {
        &self.0.all[0]
    }

    pub(super) fn parent(&self) -> Option<&Self> {
        self.0.parent.as_ref()
    }

    /// Whether this is the root phase `root`, or inside of it.
    pub(super) fn is_within(&self, root: &Self) -> bool {
        let mut outermost = self;
        while let Some(parent) = outermost.parent() {
            outermost = parent;
        }
        outermost == root
    }

    pub(super) fn text(&self) -> String {
        self.0.all.join("/")
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.0.hash == other.0.hash && self.names() == other.names()
    }
}

impl Eq for Path {}

impl Hash for Path {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        // The phases every model has come first, in the order in which they run.
        let rank = |path: &Self| {
            ["embedding", "forward", "output", "sampling"]
                .iter()
                .position(|name| *name == path.root())
                .unwrap_or(4)
        };
        rank(self).cmp(&rank(other)).then_with(|| {
            self.names()
                .iter()
                .zip(other.names())
                .map(|(a, b)| natural::compare(a, b))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| self.names().len().cmp(&other.names().len()))
        })
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
