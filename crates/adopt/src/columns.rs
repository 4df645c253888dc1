//! How a column of the original becomes one of ours. With `tables.rs`, which lists them, the one place
//! that says so: finding hazards, copying, comparing and the views are all made of it.

/// What a column holds, and how its value comes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value of this type, taken as it is.
    Plain(&'static str),
    /// A moment. Without a zone (as the ORM makes some) it is UTC.
    Time,
    /// Whose row it is: the original's `organization_id`, which has the foreign key.
    Org,
    /// An enum label: upper case there (of this type), lower-case text here, one of these; the last
    /// is what an unknown one becomes.
    Label(&'static str, &'static [&'static str]),
    /// JSON that is there: NULL and JSON's null become this.
    Document(&'static str),
    /// JSON or nothing.
    OptionalDocument,
    /// What a configuration says; the columns `source` and `source_format` come of the original's
    /// `config_yaml` and `config_json`, as does this one.
    Body,
    /// The text of a body, as it was written.
    Source,
    /// The language of that text.
    SourceFormat,
}

/// The type of ours by which a value is read: what it refuses, the service could not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    OrganizationName,
    TeamName,
    ConfigName,
    MetricName,
    MetricType,
    ShortLabel,
    FullName,
    AvatarUrl,
    Title,
    Description,
    Pattern,
    Slug,
    Email,
    Username,
    Document,
    Tags,
    /// Anything that jsonb can hold.
    Json,
}

/// One column of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) reads: Option<Reads>,
    /// The least number that our CHECK lets pass.
    pub(crate) least: Option<i32>,
}

/// One table, the same name there and here.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Ours, as far as the original has something for them.
    pub(crate) columns: &'static [Column],
    /// The original's, in its order.
    pub(crate) original: &'static [(&'static str, &'static str)],
}

/// The original's enum types.
pub(crate) const TYPES: &[&str] =
    &["userrole", "incidentstatus", "incidentpriority", "agenttype", "configtype", "configstatus"];

impl Column {
    /// The type of ours.
    pub(crate) const fn sql_type(&self) -> &'static str {
        match self.kind {
            Kind::Plain(of) => of,
            Kind::Time => "timestamptz",
            Kind::Org => "uuid",
            Kind::Label(..) | Kind::Source | Kind::SourceFormat => "text",
            Kind::Document(_) | Kind::OptionalDocument | Kind::Body => "jsonb",
        }
    }

    /// Its value in terms of the original's row `t`, where no hazard says otherwise.
    pub(crate) fn value(&self) -> String {
        let name = self.name;
        match self.kind {
            Kind::Plain(of) => format!("t.{name}::{of}"),
            // Of a time with a zone this is the same.
            Kind::Time => format!("t.{name}"),
            Kind::Org => "t.organization_id".to_owned(),
            Kind::Label(..) => format!("lower(t.{name}::text)"),
            Kind::Document(none) => {
                format!("coalesce(nullif(t.{name}::jsonb, 'null'), '{none}')")
            }
            Kind::OptionalDocument => format!("t.{name}::jsonb"),
            Kind::Body => "coalesce(nullif(t.config_json::jsonb, 'null'), '{}')".to_owned(),
            Kind::Source => {
                "CASE WHEN t.config_json::text = 'null' THEN '{}' ELSE coalesce(t.config_json::text, '{}') END"
                    .to_owned()
            }
            Kind::SourceFormat => "'json'".to_owned(),
        }
    }
}

impl Table {
    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|ours| ours.name == column)
    }

    /// Our columns' names, quoted.
    pub(crate) fn names(&self) -> String {
        self.columns.iter().map(|c| format!("\"{}\"", c.name)).collect::<Vec<_>>().join(", ")
    }

    /// What says whose a row of ours is.
    pub(crate) fn key(&self) -> &'static str {
        if self.has("org_id") { "org_id, id" } else { "id" }
    }

    /// Selects what each row of the original becomes: our columns, under our names and of our types.
    /// Times without a zone are read as UTC by the transaction's time zone. `{work}` is the schema of
    /// the overrides and made rows, `{from}` that of the original's tables.
    pub(crate) fn mapping(&self, work: &str, from: &str) -> String {
        let columns = self
            .columns
            .iter()
            .map(|c| {
                let (name, of) = (c.name, c.sql_type());
                // As it is, so that its index serves.
                if name == "id" {
                    return "t.id".to_owned();
                }
                format!(
                    "(CASE WHEN v.fields ? '{name}' THEN (v.fields->>'{name}')::{of} ELSE {} END)::{of} AS \"{name}\"",
                    c.value()
                )
            })
            .collect::<Vec<_>>()
            .join(",\n    ");
        let table = self.name;
        format!(
            "SELECT {columns}\nFROM {from}.{table} AS t LEFT JOIN {work}.overrides AS v ON v.tbl = '{table}' AND v.id = t.id"
        )
    }
}
