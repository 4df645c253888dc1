//! Which column of the original becomes which of ours: the one place that says so. Finding hazards,
//! copying, comparing and the views are all made of it.

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

const fn col(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, reads: None, least: None }
}

const fn plain(name: &'static str, of: &'static str) -> Column {
    col(name, Kind::Plain(of))
}

const fn number(name: &'static str, least: i32) -> Column {
    Column { name, kind: Kind::Plain("integer"), reads: None, least: Some(least) }
}

const fn version() -> Column {
    Column { name: "version", kind: Kind::Plain("bigint"), reads: None, least: Some(1) }
}

const fn text(name: &'static str, of: &'static str, reads: Reads) -> Column {
    Column { name, kind: Kind::Plain(of), reads: Some(reads), least: None }
}

const fn object(name: &'static str) -> Column {
    Column { name, kind: Kind::Document("{}"), reads: Some(Reads::Document), least: None }
}

const fn tags() -> Column {
    Column { name: "tags", kind: Kind::Document("[]"), reads: Some(Reads::Tags), least: None }
}

const fn json(name: &'static str) -> Column {
    Column { name, kind: Kind::OptionalDocument, reads: Some(Reads::Json), least: None }
}

const ID: Column = plain("id", "uuid");
const ORG: Column = col("org_id", Kind::Org);
const CREATED_AT: Column = col("created_at", Kind::Time);
const UPDATED_AT: Column = col("updated_at", Kind::Time);
const CREATED_BY: Column = plain("created_by", "uuid");
const UPDATED_BY: Column = plain("updated_by", "uuid");
const TEAM: Column = plain("team_id", "uuid");
const DESCRIPTION: Column = text("description", "text", Reads::Description);
const YAML: Column = plain("config_yaml", "text");
const ACTIVE: Column = plain("is_active", "boolean");

/// Roles; the original's API also knows `editor`.
pub(crate) const ROLES: &[&str] = &["admin", "member", "viewer"];

macro_rules! original {
    ($($name:ident $type:literal,)+) => { &[$((stringify!($name), $type),)+] };
}

/// All tables, those that are referred to first.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "organizations",
        columns: &[
            ID,
            CREATED_AT,
            UPDATED_AT,
            text("name", "varchar(255)", Reads::OrganizationName),
            text("slug", "varchar(100)", Reads::Slug),
            DESCRIPTION,
            ACTIVE,
            YAML,
            json("config_json"),
            plain("config_version", "varchar(50)"),
            object("settings"),
            number("max_teams", 1),
            number("max_users_per_team", 1),
        ],
        original: original! {
            id "uuid", created_at "timestamptz", updated_at "timestamptz", name "varchar(255)",
            slug "varchar(100)", description "text", is_active "boolean", config_yaml "text",
            config_json "json", config_version "varchar(50)", settings "json", max_teams "integer",
            max_users_per_team "integer",
        },
    },
    Table {
        name: "teams",
        columns: &[
            ORG,
            ID,
            CREATED_AT,
            UPDATED_AT,
            CREATED_BY,
            UPDATED_BY,
            text("name", "varchar(255)", Reads::TeamName),
            text("slug", "varchar(100)", Reads::Slug),
            DESCRIPTION,
            ACTIVE,
            YAML,
            json("config_json"),
            plain("config_version", "varchar(50)"),
            object("settings"),
            object("permissions"),
        ],
        original: original! {
            id "uuid", created_at "timestamptz", updated_at "timestamptz", org_id "uuid",
            created_by "uuid", updated_by "uuid", name "varchar(255)", slug "varchar(100)",
            description "text", is_active "boolean", config_yaml "text", config_json "json",
            config_version "varchar(50)", settings "json", permissions "json",
            organization_id "uuid",
        },
    },
    Table {
        name: "users",
        columns: &[
            ORG,
            ID,
            CREATED_AT,
            UPDATED_AT,
            CREATED_BY,
            UPDATED_BY,
            col("deleted_at", Kind::Time),
            plain("deleted_by", "uuid"),
            text("email", "varchar(255)", Reads::Email),
            text("username", "varchar(100)", Reads::Username),
            text("full_name", "varchar(255)", Reads::FullName),
            text("avatar_url", "varchar(500)", Reads::AvatarUrl),
            plain("password_hash", "varchar(255)"),
            ACTIVE,
            plain("is_verified", "boolean"),
            plain("oidc_subject", "varchar(255)"),
            plain("oidc_provider", "varchar(500)"),
            TEAM,
            col("role", Kind::Label("userrole", ROLES)),
            object("preferences"),
        ],
        original: original! {
            id "uuid", created_at "timestamptz", updated_at "timestamptz", org_id "uuid",
            created_by "uuid", updated_by "uuid", deleted_at "timestamptz", deleted_by "uuid",
            email "varchar(255)", username "varchar(100)", full_name "varchar(255)",
            avatar_url "varchar(500)", password_hash "varchar(255)", is_active "boolean",
            is_verified "boolean", oidc_subject "varchar(255)", oidc_provider "varchar(100)",
            team_id "uuid", role "userrole", preferences "json", organization_id "uuid",
        },
    },
    Table {
        name: "incidents",
        columns: &[
            ORG,
            ID,
            CREATED_AT,
            UPDATED_AT,
            CREATED_BY,
            UPDATED_BY,
            version(),
            plain("idempotency_key", "varchar(255)"),
            text("title", "varchar(500)", Reads::Title),
            DESCRIPTION,
            col(
                "status",
                Kind::Label(
                    "incidentstatus",
                    &["investigating", "in_progress", "resolved", "closed", "cancelled", "open"],
                ),
            ),
            col(
                "priority",
                Kind::Label("incidentpriority", &["low", "high", "critical", "medium"]),
            ),
            plain("assigned_to", "uuid"),
            col("started_at", Kind::Time),
            col("resolved_at", Kind::Time),
            col("closed_at", Kind::Time),
            tags(),
            object("incident_metadata"),
            number("response_time_minutes", 0),
            number("resolution_time_minutes", 0),
            TEAM,
        ],
        original: original! {
            id "uuid", created_at "timestamptz", updated_at "timestamptz", org_id "uuid",
            created_by "uuid", updated_by "uuid", version "integer", idempotency_key "varchar(255)",
            title "varchar(500)", description "text", status "incidentstatus",
            priority "incidentpriority", assigned_to "uuid", started_at "timestamptz",
            resolved_at "timestamptz", closed_at "timestamptz", tags "json",
            incident_metadata "json", response_time_minutes "integer",
            resolution_time_minutes "integer", team_id "uuid", organization_id "uuid",
        },
    },
    Table {
        name: "agent_configs",
        columns: &[
            ORG,
            ID,
            CREATED_AT,
            UPDATED_AT,
            CREATED_BY,
            UPDATED_BY,
            version(),
            text("name", "varchar(255)", Reads::ConfigName),
            DESCRIPTION,
            col(
                "agent_type",
                Kind::Label(
                    "agenttype",
                    &["incident_response", "monitoring", "analysis", "notification", "custom"],
                ),
            ),
            ACTIVE,
            YAML,
            json("config_json"),
            plain("config_version", "varchar(50)"),
            object("config"),
            number("execution_timeout_seconds", 1),
            number("max_retries", 0),
            number("retry_delay_seconds", 1),
            object("triggers"),
            object("conditions"),
            tags(),
            object("config_metadata"),
            TEAM,
        ],
        original: original! {
            id "uuid", created_at "timestamptz", updated_at "timestamptz", org_id "uuid",
            created_by "uuid", updated_by "uuid", version "integer", name "varchar(255)",
            description "text", agent_type "agenttype", is_active "boolean", config_yaml "text",
            config_json "json", config_version "varchar(50)", config "json",
            execution_timeout_seconds "integer", max_retries "integer",
            retry_delay_seconds "integer", triggers "json", conditions "json", tags "json",
            config_metadata "json", team_id "uuid", organization_id "uuid",
        },
    },
    Table {
        name: "configs",
        columns: &[
            ORG,
            ID,
            CREATED_AT,
            UPDATED_AT,
            CREATED_BY,
            UPDATED_BY,
            version(),
            text("name", "varchar(255)", Reads::ConfigName),
            DESCRIPTION,
            col(
                "config_type",
                Kind::Label("configtype", &["team", "alert", "agent", "global", "organization"]),
            ),
            col(
                "status",
                Kind::Label("configstatus", &["active", "deprecated", "archived", "draft"]),
            ),
            text("name_pattern", "varchar(500)", Reads::Pattern),
            text("severity_pattern", "varchar(500)", Reads::Pattern),
            text("team_pattern", "varchar(500)", Reads::Pattern),
            col("source", Kind::Source),
            col("source_format", Kind::SourceFormat),
            col("config_json", Kind::Body),
            text("config_version", "varchar(50)", Reads::ShortLabel),
            plain("priority", "integer"),
            plain("is_global", "boolean"),
            ACTIVE,
            tags(),
            object("config_metadata"),
            TEAM,
        ],
        original: original! {
            id "uuid", created_at "timestamptz", updated_at "timestamptz", org_id "uuid",
            created_by "uuid", updated_by "uuid", version "integer", name "varchar(255)",
            description "text", config_type "configtype", status "configstatus",
            name_pattern "varchar(500)", severity_pattern "varchar(500)",
            team_pattern "varchar(500)", config_yaml "text", config_json "json",
            config_version "varchar(50)", priority "integer", is_global "boolean",
            is_active "boolean", tags "json", config_metadata "json", team_id "uuid",
            organization_id "uuid",
        },
    },
    Table {
        name: "stats",
        columns: &[
            ORG,
            ID,
            CREATED_AT,
            UPDATED_AT,
            text("metric_name", "varchar(255)", Reads::MetricName),
            text("metric_type", "varchar(50)", Reads::MetricType),
            plain("value", "double precision"),
            number("count", 0),
            col("timestamp", Kind::Time),
            text("time_window", "varchar(50)", Reads::ShortLabel),
            object("labels"),
            DESCRIPTION,
            text("unit", "varchar(50)", Reads::ShortLabel),
            TEAM,
        ],
        original: original! {
            id "uuid", created_at "timestamptz", updated_at "timestamptz", org_id "uuid",
            metric_name "varchar(255)", metric_type "varchar(50)", value "double precision",
            count "integer", timestamp "timestamptz", time_window "varchar(50)", labels "json",
            description "text", unit "varchar(50)", team_id "uuid", organization_id "uuid",
        },
    },
];

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
    /// Times without a zone are read as UTC by the session's TimeZone. `{work}` is the schema of
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
