//! A model's tensors as a tree: `model` over `blk` over `3` over `attn_q.weight`, each with the bytes below it.
//!
//! Invariant: a node's bytes and tensors are the sums of its children's, so the root's are the file's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::natural;

/// Names nested deeper than this keep the rest of their name in one piece.
pub const DEPTH_MAX: usize = 16;

/// A named group of tensors, or one tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The part of the name that its parent does not have.
    pub label: String,
    /// Bytes of all tensors below, without the padding between them.
    pub bytes: u64,
    /// How many tensors there are.
    pub tensors: u64,
    /// What it is made of, in natural order; empty for a tensor.
    pub children: Vec<Node>,
}

/// A node under construction, whose children are found by name.
#[derive(Default)]
struct Branch {
    bytes: u64,
    tensors: u64,
    /// Bytes and number of the tensors with exactly this name.
    own: (u64, u64),
    children: BTreeMap<String, Branch>,
}

impl Branch {
    fn add(&mut self, mut parts: std::str::SplitN<'_, char>, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.tensors += 1;
        match parts.next() {
            Some(part) => self
                .children
                .entry(part.to_owned())
                .or_default()
                .add(parts, bytes),
            None => self.own = (self.own.0.saturating_add(bytes), self.own.1 + 1),
        }
    }

    fn finish(self, label: String) -> Node {
        let mut children: Vec<_> = self
            .children
            .into_iter()
            .map(|(label, branch)| branch.finish(label))
            .collect();
        children.sort_by(|a, b| natural::compare(&a.label, &b.label));
        if !children.is_empty() && self.own.1 > 0 {
            // A tensor whose name others continue stands beside them, so that the sum holds.
            children.insert(
                0,
                Node {
                    label: "(itself)".to_owned(),
                    bytes: self.own.0,
                    tensors: self.own.1,
                    children: Vec::new(),
                },
            );
        }
        // A chain of single children says nothing that one joined label does not.
        if children.len() == 1
            && let Some(only) =
                children.pop_if(|only| only.tensors == self.tensors && !label.is_empty())
        {
            return Node {
                label: format!("{label}.{}", only.label),
                ..only
            };
        }
        Node {
            label,
            bytes: self.bytes,
            tensors: self.tensors,
            children,
        }
    }
}

/// The tree of tensors given by dotted name (`blk.3.attn_q.weight`) and size in bytes, under a root called `label`.
pub fn tree<'a>(label: &str, tensors: impl IntoIterator<Item = (&'a str, u64)>) -> Node {
    let mut root = Branch::default();
    for (name, bytes) in tensors {
        root.add(name.splitn(DEPTH_MAX, '.'), bytes);
    }
    let mut node = root.finish(String::new());
    label.clone_into(&mut node.label);
    node
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn picture(node: &Node, depth: usize, out: &mut String) {
        let _ = writeln!(
            out,
            "{}{} {} B in {}",
            "  ".repeat(depth),
            node.label,
            node.bytes,
            node.tensors
        );
        for child in &node.children {
            picture(child, depth + 1, out);
        }
    }

    #[test]
    fn tensors_group_by_the_parts_of_their_names() {
        let node = tree(
            "model.gguf",
            [
                ("token_embd.weight", 100),
                ("blk.10.ffn.weight", 4),
                ("blk.2.attn_q.weight", 1),
                ("blk.2.attn_q.bias", 2),
                ("blk.2.ffn.weight", 3),
            ],
        );
        let mut text = String::new();
        picture(&node, 0, &mut text);
        insta::assert_snapshot!(text, @r"
        model.gguf 110 B in 5
          blk 10 B in 4
            2 6 B in 3
              attn_q 3 B in 2
                bias 2 B in 1
                weight 1 B in 1
              ffn.weight 3 B in 1
            10.ffn.weight 4 B in 1
          token_embd.weight 100 B in 1
        ");
    }

    fn sums(node: &Node) -> bool {
        node.children.is_empty()
            || (node.bytes == node.children.iter().map(|child| child.bytes).sum::<u64>()
                && node.children.iter().all(sums))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_node_is_the_sum_of_its_children(names in prop::collection::btree_map("[ab.]{0,24}", 0_u64..1000, 0..20)) {
            let node = tree("model", names.iter().map(|(name, bytes)| (name.as_str(), *bytes)));
            prop_assert_eq!(node.bytes, names.values().sum::<u64>());
            prop_assert_eq!(node.tensors, names.len() as u64);
            prop_assert!(sums(&node));
        }
    }
}
