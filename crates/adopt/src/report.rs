//! What was found, for people and for programs.

use std::fmt;

use sea_orm::{ConnectionTrait, DbErr};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    find::SAMPLE,
    hazard::{Choices, Hazard},
    source::{Variant, statement},
    tables::TABLES,
};

/// What an adoption of a database would meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How the original's tables were made.
    pub variant: Variant,
    /// The tables and how many rows they have.
    pub rows: Vec<(String, i64)>,
    /// The hazards, in the order in which they are looked for.
    pub findings: Vec<Finding>,
}

/// One kind of hazard in one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which kind.
    pub hazard: Hazard,
    /// What it is, in a sentence.
    pub what: &'static str,
    /// In which table.
    pub table: String,
    /// In which column of ours.
    pub column: String,
    /// How many rows.
    pub rows: i64,
    /// The ids of the first 20 of them.
    pub ids: Vec<Uuid>,
    /// The way that was told, or the suggested one.
    pub way: &'static str,
    /// What that does.
    pub would: &'static str,
    /// Whether that way was told. An adoption refuses to begin until it is of all.
    pub told: bool,
}

impl Report {
    /// Tells whether there is a hazard that was not told how to resolve.
    pub fn is_open(&self) -> bool {
        self.findings.iter().any(|finding| !finding.told)
    }

    /// The suggested way for each hazard that was not told, as `HAZARD=WAY`.
    pub fn suggestions(&self) -> Vec<String> {
        let mut open: Vec<_> = self
            .findings
            .iter()
            .filter(|finding| !finding.told)
            .map(|finding| (finding.hazard, finding.way))
            .collect();
        open.sort_unstable();
        open.dedup();
        open.into_iter().map(|(hazard, way)| format!("{hazard}={way}")).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (table, rows) in &self.rows {
            writeln!(f, "{table}: {rows} rows")?;
        }
        for finding in &self.findings {
            let Finding { hazard, what, table, column, rows, ids, way, would, told } = finding;
            let what = what.trim();
            writeln!(f, "{hazard}: {rows} rows of {table} ({column}). {what}")?;
            let told = if *told { "as told" } else { "suggested" };
            writeln!(f, "    {way} ({told}): {would}")?;
            for (other, does) in hazard.ways().iter().filter(|(other, _)| other != way) {
                writeln!(f, "    or {other}: {does}")?;
            }
            let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
            let more =
                if usize::try_from(*rows).is_ok_and(|rows| rows > ids.len()) { " ..." } else { "" };
            writeln!(f, "    {}{more}", ids.join(" "))?;
        }
        if self.findings.is_empty() {
            writeln!(f, "no hazards")?;
        }
        Ok(())
    }
}

/// Reads what the finder left in its tables of work.
pub(crate) async fn read(
    db: &impl ConnectionTrait,
    work: &str,
    from: &str,
    variant: Variant,
    choices: &Choices,
) -> Result<Report, DbErr> {
    let mut rows = Vec::new();
    for table in TABLES {
        let count = statement(db, format!("SELECT count(*) FROM {from}.{}", table.name));
        if let Some(row) = db.query_one_raw(count).await? {
            rows.push((table.name.to_owned(), row.try_get_by_index(0)?));
        }
    }
    let sql = format!(
        "SELECT hazard, tbl, col, rows, array_to_string(ids, ' ') AS ids, turn FROM (
             SELECT hazard, turn, tbl, col, count(*) AS rows,
                 (array_agg(id ORDER BY id))[1:{SAMPLE}] AS ids
             FROM {work}.changes WHERE hazard <> '' GROUP BY hazard, turn, tbl, col
             UNION ALL SELECT hazard, turn, tbl, col, rows, ids FROM {work}.noticed) AS found
         ORDER BY turn, tbl, col"
    );
    let mut findings = Vec::new();
    for row in db.query_all_raw(statement(db, sql)).await? {
        let name: String = row.try_get("", "hazard")?;
        let Some(hazard) = Hazard::ALL.iter().copied().find(|known| known.as_str() == name) else {
            continue;
        };
        let way = choices.way(hazard);
        let would = hazard.ways().iter().find(|(known, _)| *known == way);
        let ids: String = row.try_get("", "ids")?;
        findings.push(Finding {
            hazard,
            what: hazard.what(),
            table: row.try_get("", "tbl")?,
            column: row.try_get("", "col")?,
            rows: row.try_get("", "rows")?,
            ids: ids.split_whitespace().filter_map(|id| id.parse().ok()).collect(),
            way,
            would: would.map_or("", |(_, does)| does),
            told: choices.told(hazard).is_some(),
        });
    }
    Ok(Report { variant, rows, findings })
}
