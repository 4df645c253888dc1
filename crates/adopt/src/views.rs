//! The original's tables as views over ours, to read and to write, for as long as its service is
//! still there. They belong to a role of their own, `brownie-adopted`, which cannot log in and for
//! which a policy on each table lets all organizations through: the original knows no tenant in its
//! session. Dropping the schema and the role ends it.

use crate::{
    columns::{Column, Kind, Table},
    run::{ORIGINAL, VIEWS},
    tables::TABLES,
};

/// The role that the views belong to, and its way to the rows. It is of the whole server: an adoption of
/// another database may make it between our look and our statement, or the end of one may drop it. From
/// the last grant on it cannot be dropped before we commit.
const ROLE: &str = r#"
DO $$ BEGIN
    FOR attempt IN 1..10 LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'brownie-adopted') THEN
                CREATE ROLE "brownie-adopted" NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
            END IF;
            IF NOT pg_has_role(current_user, 'brownie-adopted', 'USAGE') THEN
                GRANT "brownie-adopted" TO CURRENT_USER;
            END IF;
            GRANT USAGE ON SCHEMA public TO "brownie-adopted";
            EXIT;
        EXCEPTION WHEN duplicate_object OR unique_violation OR undefined_object THEN
            IF attempt = 10 THEN RAISE; END IF;
        END;
    END LOOP;
END $$;
"#;

/// Makes everything.
pub(crate) fn sql() -> String {
    let mut sql = format!("{ROLE}GRANT USAGE, CREATE ON SCHEMA {VIEWS} TO \"brownie-adopted\";\n");
    for table in TABLES {
        sql.push_str(&of(table));
    }
    sql.push_str(&grants());
    sql
}

fn of(table: &Table) -> String {
    let name = table.name;
    let org = if table.has("org_id") { "organization_id" } else { "id" };
    let our_key = if table.has("org_id") { "org_id" } else { "id" };
    let shown = table
        .original
        .iter()
        .map(|(column, of)| format!("{} AS \"{column}\"", shown(table, column, of)))
        .collect::<Vec<_>>()
        .join(",\n    ");
    // The original shows its deleted users.
    let live = if table.has("deleted_at") { "true" } else { "t.deleted_at IS NULL" };
    let names = table.names();
    let values =
        table.columns.iter().map(|c| written(table, c)).collect::<Vec<_>>().join(",\n        ");
    let changes = table
        .columns
        .iter()
        .filter(|c| !matches!(c.name, "id" | "org_id" | "version"))
        .map(|c| {
            let (column, becomes) = (c.name, written(table, c));
            let differs = changed(c);
            format!("\"{column}\" = CASE WHEN {differs} THEN {becomes} ELSE t.\"{column}\" END")
        })
        .collect::<Vec<_>>()
        .join(",\n        ");
    let (told, telling) = if table.has("version") {
        ("greatest(t.version + 1, NEW.version)", "NEW.version := written;")
    } else {
        ("t.version + 1", "")
    };
    let one_org = if table.has("org_id") {
        "IF TG_OP <> 'DELETE' THEN
        NEW.organization_id := coalesce(NEW.organization_id, NEW.org_id);
        NEW.org_id := coalesce(NEW.org_id, NEW.organization_id);
        IF NEW.org_id <> NEW.organization_id THEN
            RAISE check_violation USING MESSAGE = 'org_id and organization_id must be the same';
        END IF;
    END IF;"
    } else {
        ""
    };
    let below = below(table);
    // A key of ours begins with the organization; the original asks by id alone.
    let index =
        format!("CREATE INDEX IF NOT EXISTS {name}_adopted_id_idx ON public.{name} (id);\n");
    format!(
        r#"
CREATE VIEW {VIEWS}.{name} AS SELECT
    {shown}
FROM public.{name} AS t WHERE {live};
ALTER VIEW {VIEWS}.{name} ALTER COLUMN created_at SET DEFAULT now();
ALTER VIEW {VIEWS}.{name} ALTER COLUMN updated_at SET DEFAULT now();
CREATE FUNCTION {VIEWS}.write_{name}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    written bigint;
BEGIN
    {one_org}
    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.{name} ({names}) VALUES (
        {values});
        RETURN NEW;
    ELSIF TG_OP = 'UPDATE' THEN
        IF NEW.id <> OLD.id OR NEW.{org} <> OLD.{org} THEN
            RAISE feature_not_supported USING MESSAGE = 'a row keeps its id and its organization';
        END IF;
        UPDATE public.{name} AS t SET
        {changes},
        version = {told}
        WHERE t.{our_key} = OLD.{org} AND t.id = OLD.id RETURNING t.version INTO written;
        IF written IS NULL THEN
            RETURN NULL;
        END IF;
        {telling}
        RETURN NEW;
    END IF;
    UPDATE public.{name} SET deleted_at = now(), version = version + 1
    WHERE {our_key} = OLD.{org} AND id = OLD.id AND deleted_at IS NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    {below}
    RETURN OLD;
END
$$;
CREATE TRIGGER write_{name} INSTEAD OF INSERT OR UPDATE OR DELETE ON {VIEWS}.{name}
    FOR EACH ROW EXECUTE FUNCTION {VIEWS}.write_{name}();
ALTER VIEW {VIEWS}.{name} OWNER TO "brownie-adopted";
ALTER FUNCTION {VIEWS}.write_{name}() OWNER TO "brownie-adopted";
GRANT SELECT, INSERT, UPDATE ON public.{name} TO "brownie-adopted";
CREATE POLICY {name}_adopted ON public.{name} TO "brownie-adopted" USING (true) WITH CHECK (true);
{index}"#
    )
}

/// What the original's cascade would have removed is marked deleted, too.
fn below(table: &Table) -> String {
    let within = match table.name {
        "organizations" => "org_id = OLD.id",
        "teams" => "org_id = OLD.organization_id AND team_id = OLD.id",
        _ => return String::new(),
    };
    let column = if table.name == "teams" { "team_id" } else { "org_id" };
    TABLES
        .iter()
        .filter(|other| other.has(column))
        .map(|other| {
            format!(
                "UPDATE public.{} SET deleted_at = now(), version = version + 1
        WHERE {within} AND deleted_at IS NULL;\n    ",
                other.name
            )
        })
        .collect()
}

/// A column of the original in terms of our row `t`.
fn shown(table: &Table, column: &str, of: &str) -> String {
    if matches!(column, "organization_id") {
        return "t.org_id".to_owned();
    }
    if table.name == "configs" {
        match column {
            "config_yaml" => {
                return "CASE WHEN t.source_format = 'yaml' THEN t.source END".to_owned();
            }
            "config_json" => return "t.config_json::json".to_owned(),
            _ => {}
        }
    }
    let kind = table.columns.iter().find(|c| c.name == column).map(|c| c.kind);
    match kind {
        // The original has no such state.
        Some(Kind::Label("incidentstatus", _)) => format!(
            "upper(CASE t.status WHEN 'investigating' THEN 'in_progress' ELSE t.status END)::{VIEWS}.incidentstatus"
        ),
        Some(Kind::Label(of, _)) => format!("upper(t.\"{column}\")::{VIEWS}.{of}"),
        _ => format!("t.\"{column}\"::{of}"),
    }
}

/// Tells whether an update means to change a column of ours.
fn changed(column: &Column) -> String {
    let differs =
        |name: &str| format!("NEW.\"{name}\"::text IS DISTINCT FROM OLD.\"{name}\"::text");
    match column.kind {
        Kind::Source | Kind::SourceFormat | Kind::Body => {
            format!("{} OR {}", differs("config_yaml"), differs("config_json"))
        }
        _ => differs(column.name),
    }
}

/// A column of ours in terms of the original's row NEW.
fn written(table: &Table, column: &Column) -> String {
    let name = column.name;
    match column.kind {
        Kind::Org => "NEW.organization_id".to_owned(),
        Kind::Label(..) => format!("lower(NEW.\"{name}\"::text)"),
        Kind::Document(none) => {
            format!("coalesce(nullif(NEW.\"{name}\"::jsonb, 'null'), '{none}')")
        }
        Kind::OptionalDocument => format!("nullif(NEW.\"{name}\"::jsonb, 'null')"),
        Kind::Body => "coalesce(nullif(NEW.config_json::jsonb, 'null'), '{}')".to_owned(),
        Kind::Source => {
            "coalesce(NEW.config_yaml, nullif(NEW.config_json::text, 'null'), '{}')".to_owned()
        }
        Kind::SourceFormat => {
            "CASE WHEN NEW.config_yaml IS NULL THEN 'json' ELSE 'yaml' END".to_owned()
        }
        // Ours are in lower case.
        Kind::Plain(_) if matches!(name, "email" | "slug") && table.has("created_at") => {
            format!("lower(NEW.\"{name}\")")
        }
        Kind::Plain(_) | Kind::Time => format!("NEW.\"{name}\""),
    }
}

/// Whoever could do something with the original's tables may do it with the views.
fn grants() -> String {
    format!(
        r#"
REVOKE CREATE ON SCHEMA {VIEWS} FROM "brownie-adopted";
DO $$
DECLARE
    may record;
BEGIN
    FOR may IN
        SELECT DISTINCT relname, grantee::regrole::text AS who, privilege_type AS what
        FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
        WHERE relnamespace = '{ORIGINAL}'::regnamespace AND relkind = 'r' AND grantee <> 0
          AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA {VIEWS} TO %s', may.who);
        EXECUTE format('GRANT %s ON {VIEWS}.%I TO %s', may.what, may.relname, may.who);
    END LOOP;
END
$$;
"#
    )
}
