//! The tables, column by column.

use crate::columns::{Column, Kind, Reads, Table};

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
