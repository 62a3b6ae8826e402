//! Paths of phases: cheap to clone, to compare and to find.

use std::{
    cmp::Ordering,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::{DEPTH_MAX, PATH_SEPARATOR};
use crate::natural;

/// Names from the root phase inwards, ordered as the rows are. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Path(Arc<Names>);

#[derive(Debug)]
struct Names {
    all: Vec<String>,
    hash: u64,
    parent: Option<Path>,
}

impl Path {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut path = None;
        for (depth, name) in text.split(PATH_SEPARATOR).enumerate() {
            if depth == DEPTH_MAX || name.is_empty() {
                return None;
            }
            path = Some(Self::inside(path, name));
        }
        path
    }

    /// The phase called `name` inside of `parent`.
    pub(super) fn inside(parent: Option<Self>, name: &str) -> Self {
        let mut names = parent
            .as_ref()
            .map_or_else(Vec::new, |parent| parent.names().to_vec());
        names.push(name.to_owned());
        let mut hasher = DefaultHasher::new();
        names.hash(&mut hasher);
        Self(Arc::new(Names {
            hash: hasher.finish(),
            all: names,
            parent,
        }))
    }

    pub(super) fn names(&self) -> &[String] {
        &self.0.all
    }

    pub(super) fn root(&self) -> &str {
        &self.0.all[0]
    }

    pub(super) fn parent(&self) -> Option<&Self> {
        self.0.parent.as_ref()
    }

    pub(super) fn text(&self) -> String {
        self.0.all.join("/")
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.names() == other.names()
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
