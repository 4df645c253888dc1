//! The methods there are, by reading the source.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Finds the public methods of the handles in the crate's source: `impl` blocks of a type with a
/// scope's lifetime, under the name of the function that gives the handle out.
pub(super) fn methods() -> BTreeSet<String> {
    let mut sources = Vec::new();
    read_all(&harness::root().join("crates/persistence/src"), &mut sources);
    // `pub fn teams(&self) -> Teams<'_, Mode> {`
    let handles: BTreeMap<&str, &str> = sources
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| {
            let (name, rest) = line.trim().strip_prefix("pub fn ")?.split_once("(&self) -> ")?;
            Some((rest.strip_suffix("<'_, Mode> {")?, name))
        })
        .collect();
    let mut found = BTreeSet::new();
    for text in &sources {
        let mut inside = None;
        for line in text.lines() {
            if line.starts_with("impl") {
                let ours = line.contains(", Mode> {") || line.contains("<'_, Writing>");
                let of = line.split('<').rev().nth(1).unwrap_or_default();
                let of = of.split(' ').next_back().unwrap_or_default();
                inside = handles.get(of).filter(|_| ours);
            }
            if let (Some(handle), Some(rest)) = (inside, line.strip_prefix("    pub async fn ")) {
                let method = rest.split(['(', '<']).next().unwrap_or_default();
                found.insert(format!("{handle}.{method}"));
            }
        }
    }
    assert!(found.len() > 30, "the source is not read as it is written: {found:?}");
    found
}

fn read_all(directory: &Path, sources: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, sources);
        } else {
            sources.push(fs::read_to_string(&path).unwrap());
        }
    }
}
