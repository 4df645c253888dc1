//! `docs/metrics.md`, as the catalogue has it.

use crate::GROUPS;

const INTRODUCTION: &str = "# Metrics

On `/metrics` of the API's port, and alone on `METRICS_PORT`, in Prometheus' text format. Generated from
the catalogue in `crates/metrics`; a test compares this page with it, and another compares the catalogue
with what a live server exports and with what `monitoring/` asks for. No metric has a label whose values
have no bound: routes are templates, and there is no label for organizations.
";

/// Returns the page.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for group in GROUPS {
        page.push_str(&format!(
            "\n## {}\n\n{}\n\n| name | type | unit | labels | what it tells |\n|---|---|---|---|---|\n",
            group.title, group.exported
        ));
        for metric in group.metrics {
            let labels = metric.labels.join(", ");
            let buckets = match metric.buckets {
                [] => String::new(),
                bounds => {
                    let bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
                    format!(" Buckets: {}.", bounds.join(", "))
                }
            };
            page.push_str(&format!(
                "| `{}` | {} | {} | {labels} | {}{buckets} |\n",
                metric.name,
                metric.kind.as_str(),
                metric.unit.as_str(),
                metric.help
            ));
        }
    }
    page
}
