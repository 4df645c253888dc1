//! Where documents point to.

use std::fs;

/// A link to a file that is not there sends a reader nowhere.
#[test]
fn every_link_between_the_papers_leads_somewhere() {
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for directory in ["docs", "docs/decisions", "docs/runbooks"] {
        let entries = fs::read_dir(harness::root().join(directory)).unwrap().flatten();
        pages.extend(
            entries
                .map(|entry| format!("{directory}/{}", entry.file_name().to_string_lossy()))
                .filter(|path| path.ends_with(".md")),
        );
    }
    for path in pages {
        let text = fs::read_to_string(harness::root().join(&path)).unwrap();
        let folder = harness::root().join(&path).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(folder.join(target).exists(), "{path} links to {link}");
        }
    }
}
