//! Which series a query of Prometheus asks for: enough of the language for ours.

/// A series, and the labels that it is selected by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
}

/// Words that name no series.
const WORDS: [&str; 8] = ["and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"];
/// Words that are followed by labels in brackets.
const OF_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Returns the series that `query` asks for.
pub(crate) fn series(query: &str) -> Vec<Series> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(letter) = rest.chars().next() {
        let length = rest.find(|letter: char| !is_of_name(letter)).unwrap_or(rest.len());
        if letter == '[' {
            rest = rest.split_once(']').map_or("", |(_, after)| after);
        } else if letter.is_ascii_digit() {
            // A number, or a length of time.
            rest = &rest[length..];
        } else if length > 0 {
            let (name, after) = rest.split_at(length);
            let next = after.trim_start();
            if OF_LABELS.contains(&name) {
                rest = next.split_once(')').map_or("", |(_, after)| after);
            } else if WORDS.contains(&name) || next.starts_with('(') || is_aggregation(next) {
                rest = after;
            } else if let Some(selector) = after.strip_prefix('{') {
                let (labels, after) = labels(selector);
                found.push(Series { name: name.to_owned(), labels });
                rest = after;
            } else {
                found.push(Series { name: name.to_owned(), labels: Vec::new() });
                rest = after;
            }
        } else {
            rest = &rest[letter.len_utf8()..];
        }
    }
    found
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == ':' || letter == '.'
}

/// `sum by (...) (...)`.
fn is_aggregation(next: &str) -> bool {
    ["by", "without"].iter().any(|word| {
        next.strip_prefix(word).is_some_and(|after| after.trim_start().starts_with('('))
    })
}

/// Reads what stands between the braces, which may have braces in strings.
fn labels(selector: &str) -> (Vec<String>, &str) {
    let mut labels = Vec::new();
    let mut rest = selector;
    loop {
        let end = rest.find(['"', '}']).unwrap_or(rest.len());
        let (before, after) = rest.split_at(end);
        let name = before.trim_matches([',', ' ', '=', '~', '!']);
        if !name.is_empty() {
            labels.push(name.to_owned());
        }
        match after.strip_prefix('"') {
            Some(string) => rest = string.split_once('"').map_or("", |(_, after)| after),
            None => return (labels, after.strip_prefix('}').unwrap_or_default()),
        }
    }
}

#[test]
fn series_are_found_in_a_query() {
    let of =
        |query| series(query).into_iter().map(|one| (one.name, one.labels)).collect::<Vec<_>>();
    let one = |name: &str, labels: &[&str]| {
        (name.to_owned(), labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(
        of(
            r#"sum by (le, route) (rate(a_b{job="x}", le=~"1|2"}[5m] offset 1d)) / on (i) c:d > 0.5 and d"#
        ),
        [one("a_b", &["job", "le"]), one("c:d", &[]), one("d", &[])]
    );
    assert_eq!(of("time() - max(e) < 14.4 * 0.001"), [one("e", &[])]);
    assert_eq!(of("count by (v) (b) or absent(up{})"), [one("b", &[]), one("up", &[])]);
}
