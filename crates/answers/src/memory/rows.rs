//! The ledger as rows: host memory first, then pools, KV caches, weights and phases.

use std::collections::BTreeSet;

use radiosonde_core::provenance::{Provenance, Reading};

use super::{Cache, HOST, Ledger, MemoryRow, Model, Pool, signed};
use crate::{
    natural, units,
    units::{Bytes, Count},
    weights::{Node, tree},
};

/// The rows of `ledger`. Only rows under `host` count against the resident set; the others show the same memory from
/// their own side, and that of other devices.
pub fn build_memory_rows(ledger: &Ledger) -> Vec<MemoryRow> {
    let mut rows = Vec::new();
    host(ledger, &mut rows);
    pools(ledger, &mut rows);
    caches(ledger, &mut rows);
    weights(ledger, &mut rows);
    phases(ledger, &mut rows);
    rows
}

fn reading(path: &[&str], reading: &Reading<u64>) -> MemoryRow {
    MemoryRow::new(path, reading.value().map(signed), reading.provenance())
}

fn derived(path: &[&str], bytes: i64) -> MemoryRow {
    MemoryRow::new(path, Some(bytes), &Provenance::Derived)
}

/// What a pool holds of its device: what it reserved, or where the allocator does not say, what is in use.
fn held(pool: &Pool) -> i64 {
    pool.reserved_bytes().map_or_else(|| used(pool), signed)
}

fn used(pool: &Pool) -> i64 {
    pool.used_bytes().map_or(pool.outstanding(), signed)
}

fn used_provenance(pool: &Pool) -> Provenance {
    if pool.used_bytes().is_some() {
        Provenance::Measured
    } else {
        Provenance::Derived
    }
}

fn held_provenance(pool: &Pool) -> Provenance {
    if pool.reserved_bytes().is_some() {
        Provenance::Measured
    } else {
        used_provenance(pool)
    }
}

fn host(ledger: &Ledger, rows: &mut Vec<MemoryRow>) {
    let first = rows.len();
    rows.push(reading(&["host"], &ledger.resident.value));
    rows.push(reading(&["host", "baseline"], &ledger.baseline.value));
    for ((_, name), model) in ledger
        .weights
        .iter()
        .filter(|((device, _), _)| device == HOST)
    {
        // Weights that were made in memory have no file, and a header that was lost on the way told nothing.
        let assumed = Provenance::Estimated(if model.files.is_empty() {
            "the sum of the tensors that were told, as if every one were resident".into()
        } else {
            "from the file's header, as if every tensor were resident".into()
        });
        rows.push(MemoryRow::new(
            &["host", &format!("weights {name}")],
            Some(whole(model)),
            &assumed,
        ));
    }
    for ((_, name), pool) in ledger
        .pools
        .iter()
        .filter(|((device, _), _)| device == HOST)
    {
        rows.push(MemoryRow::new(
            &["host", &format!("pool {name}")],
            Some(held(pool)),
            &held_provenance(pool),
        ));
    }
    for (_, cache) in ledger.caches.iter().filter(|(device, _)| *device == HOST) {
        rows.push(MemoryRow::new(
            &["host", "KV cache"],
            Some(signed(cache.latest().bytes)),
            &Provenance::Measured,
        ));
    }
    let attributed = rows[first + 1..]
        .iter()
        .filter_map(|row| row.bytes)
        .fold(0_i64, i64::saturating_add);
    let Some(resident) = ledger.resident.value.value() else {
        let reason = Provenance::Unsupported(
            "without the resident set there is nothing to subtract from".into(),
        );
        rows.push(MemoryRow::new(&["host", "unattributed"], None, &reason));
        return;
    };
    rows.push(match signed(resident).saturating_sub(attributed) {
        rest @ 0.. if ledger.baseline.value.value().is_some() => {
            derived(&["host", "unattributed"], rest)
        }
        rest @ 0.. => derived(&["host", "unattributed"], rest)
            .detail("includes the baseline, which was not measured"),
        excess => derived(&["host", "over-attributed"], excess.saturating_neg()).detail(
            "the parts exceed the resident set: some of it is not resident, or counted twice",
        ),
    });
    for row in &mut rows[first..] {
        row.share = row
            .bytes
            .map(|bytes| units::share(bytes.unsigned_abs(), resident).copysign(bytes as f64));
    }
}

fn pools(ledger: &Ledger, rows: &mut Vec<MemoryRow>) {
    let mut devices: Vec<_> = ledger
        .pools
        .keys()
        .map(|(device, _)| device.as_str())
        .collect();
    devices.dedup();
    for device in devices {
        let on_device = || ledger.pools.iter().filter(|((on, _), _)| on == device);
        let top = format!("pools on {device}");
        let total = on_device().fold(0_i64, |sum, (_, pool)| sum.saturating_add(held(pool)));
        rows.push(derived(&[&top], total));
        for ((_, name), pool) in on_device() {
            rows.push(MemoryRow::new(
                &[&top, name],
                Some(held(pool)),
                &held_provenance(pool),
            ));
            rows.push(match pool.reserved_bytes() {
                Some(bytes) => MemoryRow::new(
                    &[&top, name, "reserved"],
                    Some(signed(bytes)),
                    &Provenance::Measured,
                ),
                None => MemoryRow::new(
                    &[&top, name, "reserved"],
                    None,
                    &Provenance::Unsupported("the allocator does not say what it reserved".into()),
                ),
            });
            rows.push(MemoryRow::new(
                &[&top, name, "used"],
                Some(used(pool)),
                &used_provenance(pool),
            ));
        }
        let outstanding = ledger.outstanding_bytes(device);
        let row = derived(&[&top, "outstanding"], outstanding);
        rows.push(if outstanding < 0 {
            row.detail("more was released than allocated")
        } else {
            row
        });
    }
}

fn caches(ledger: &Ledger, rows: &mut Vec<MemoryRow>) {
    for (device, cache) in &ledger.caches {
        let top = format!("KV cache on {device}");
        let now = cache.latest();
        let tokens = Count(now.tokens, "token");
        let most = Bytes(signed(cache.bytes_max()));
        let detail = if cache.bytes_max() > now.bytes {
            format!("{tokens}, at most {most} at once")
        } else {
            tokens.to_string()
        };
        rows.push(
            MemoryRow::new(&[&top], Some(signed(now.bytes)), &Provenance::Measured).detail(detail),
        );
        rows.push(growth(&top, cache));
    }
}

fn growth(top: &str, cache: &Cache) -> MemoryRow {
    let path = [top, "per token"];
    let grown = cache.grown();
    match grown.bytes.checked_div(grown.tokens) {
        Some(bytes) => derived(&path, signed(bytes)).detail(format!(
            "grew by {} over {}",
            Bytes(signed(grown.bytes)),
            Count(grown.tokens, "token")
        )),
        None => MemoryRow::new(
            &path,
            None,
            &Provenance::Unsupported("the cache has not grown yet".into()),
        ),
    }
}

/// What the weights of a model take: tensors that are known, and what its files' headers say beyond them.
fn whole(model: &Model) -> i64 {
    signed(model.known_bytes().saturating_add(model.missing_bytes()))
}

fn weights(ledger: &Ledger, rows: &mut Vec<MemoryRow>) {
    let mut heading = None;
    for ((device, name), model) in &ledger.weights {
        let top = format!("weights on {device}");
        if heading != Some(device) {
            heading = Some(device);
            let models = ledger.weights.iter().filter(|((on, _), _)| on == device);
            let total = models.fold(0_i64, |sum, (_, model)| sum.saturating_add(whole(model)));
            rows.push(derived(&[&top], total));
        }
        weights_of(name, model, &top, rows);
    }
}

fn weights_of(name: &str, model: &Model, top: &str, rows: &mut Vec<MemoryRow>) {
    fn push(node: &Node, parents: &mut Vec<String>, rows: &mut Vec<MemoryRow>) {
        parents.push(node.label.clone());
        let path: Vec<&str> = parents.iter().map(String::as_str).collect();
        let row = derived(&path, signed(node.bytes));
        rows.push(if node.children.is_empty() {
            row
        } else {
            row.detail(Count(node.tensors, "tensor").to_string())
        });
        for child in &node.children {
            push(child, parents, rows);
        }
        parents.pop();
    }
    let sizes = model.tensors.iter();
    let tree = tree(name, sizes.map(|(name, bytes)| (name.as_str(), *bytes)));
    let root = rows.len();
    push(&tree, &mut vec![top.to_owned()], rows);
    let missing = signed(model.missing_bytes());
    if missing > 0 {
        let whole = signed(tree.bytes).saturating_add(missing);
        rows[root].bytes = Some(whole);
        rows[root].detail = Some(format!(
            "incomplete: {} of {} in {}",
            Bytes(signed(tree.bytes)),
            Bytes(whole),
            Count(tree.tensors, "tensor")
        ));
        rows.push(derived(&[top, name, "not itemized"], missing).detail(
            "in the file's header, but the tensors were lost on the way or exceed the limit",
        ));
    }
}

fn phases(ledger: &Ledger, rows: &mut Vec<MemoryRow>) {
    let mut keys: Vec<_> = ledger.phases.keys().collect();
    keys.sort_by(|a, b| {
        a.0.cmp(&b.0)
            .then_with(|| natural::compare_paths(&a.1, &b.1))
    });
    let mut shown = BTreeSet::new();
    for key @ (device, phase) in keys {
        let delta = &ledger.phases[key];
        let top = format!("phases on {device}");
        let path: Vec<&str> = std::iter::once(top.as_str())
            .chain(phase.split('/'))
            .collect();
        // What is around it has a row of its own, even where it has not ended yet.
        for depth in 1..path.len() {
            let outer = &path[..depth];
            if shown.insert(outer.join("/")) {
                rows.push(MemoryRow::new(
                    outer,
                    None,
                    &Provenance::Unsupported(
                        if depth == 1 {
                            "phases overlap: inner ones are part of those around them"
                        } else {
                            "the phase has not ended yet"
                        }
                        .into(),
                    ),
                ));
            }
        }
        shown.insert(path.join("/"));
        rows.push(
            MemoryRow::new(&path, Some(delta.last.value), &Provenance::Measured).detail(format!(
                "largest {}, {} in all of {}",
                Bytes(delta.largest),
                Bytes(delta.sum),
                Count(delta.count, "step")
            )),
        );
    }
}
