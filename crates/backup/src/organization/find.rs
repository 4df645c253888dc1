//! Which organization is meant.

use std::{fmt, str::FromStr};

use brownie_domain::Slug;
use tokio_postgres::Client;
use uuid::Uuid;

use super::Problem;
use crate::{Error, Result};

/// An organization, as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By its id, which nobody else ever has.
    Id(Uuid),
    /// By its slug, which it may have changed.
    Slug(Slug),
}

impl FromStr for Named {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        // A UUID would be a slug, too; nobody means that.
        if let Ok(id) = Uuid::try_parse(text) {
            return Ok(Self::Id(id));
        }
        let slug = text.parse().map_err(|_| Problem::Name(text.chars().take(120).collect()))?;
        Ok(Self::Slug(slug))
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Slug(slug) => f.write_str(slug.as_str()),
        }
    }
}

/// An organization that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: Uuid,
    pub(crate) slug: String,
    pub(crate) is_deleted: bool,
}

/// Row-level security lets the owner of the tables see one organization at a time, so it looks at one
/// after the other. Whoever sees all by a policy, as brownie-backup does, may not ask for the ids, and
/// need not.
const LOOK: &str = "
    CREATE OR REPLACE FUNCTION pg_temp.find_organizations(wanted_id uuid, wanted_slug text)
        RETURNS TABLE (found_id uuid, found_slug text, was_deleted boolean)
        LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    DECLARE
        one    uuid;
        before text := coalesce(current_setting('app.org_id', true), '');
    BEGIN
        IF NOT has_function_privilege('public.organization_ids()', 'EXECUTE') THEN
            RETURN QUERY SELECT id, slug::text, deleted_at IS NOT NULL FROM public.organizations
                WHERE id = wanted_id OR slug = wanted_slug;
            RETURN;
        END IF;
        FOR one IN SELECT public.organization_ids() LOOP
            PERFORM set_config('app.org_id', one::text, true);
            RETURN QUERY SELECT id, slug::text, deleted_at IS NOT NULL FROM public.organizations
                WHERE id = one AND (id = wanted_id OR slug = wanted_slug);
        END LOOP;
        PERFORM set_config('app.org_id', before, true);
    END
    $$";

/// Returns all organizations that are named so: of a slug there may be several, of which one is not
/// deleted.
pub(crate) async fn find(client: &Client, named: &Named) -> Result<Vec<Found>> {
    let failed = || Error::database(format!("looking for the organization {named}"));
    client.batch_execute(LOOK).await.map_err(failed())?;
    let (id, slug) = match named {
        Named::Id(id) => (Some(*id), None),
        Named::Slug(slug) => (None, Some(slug.as_str())),
    };
    let sql = "SELECT * FROM pg_temp.find_organizations($1, $2)";
    let rows = client.query(sql, &[&id, &slug]).await.map_err(failed())?;
    let read = |row: &tokio_postgres::Row| {
        Ok(Found { id: row.try_get(0)?, slug: row.try_get(1)?, is_deleted: row.try_get(2)? })
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(failed())
}

/// Returns the one that is meant, if there is one.
///
/// # Errors
/// [`Problem::Ambiguous`] when several were called that, and are deleted.
pub(crate) fn pick(found: Vec<Found>, named: &Named, place: &str) -> Result<Option<Found>> {
    if let Some(standing) = found.iter().find(|it| !it.is_deleted) {
        return Ok(Some(standing.clone()));
    }
    match <[Found; 1]>::try_from(found) {
        Ok([only]) => Ok(Some(only)),
        Err(none) if none.is_empty() => Ok(None),
        Err(several) => Err(Problem::Ambiguous {
            organization: named.to_string(),
            place: place.to_owned(),
            ids: several.iter().map(|it| it.id).collect(),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: u128, is_deleted: bool) -> Found {
        Found { id: Uuid::from_u128(id), slug: "acme".to_owned(), is_deleted }
    }

    #[test]
    fn an_organization_is_named_by_id_or_slug() {
        let id = "019aa5d3-7c00-7b1e-9c5e-3f4f8a1d2b6c";
        assert!(matches!(id.parse(), Ok(Named::Id(it)) if it.to_string() == id));
        assert!(matches!("acme-2".parse(), Ok(Named::Slug(slug)) if slug.as_str() == "acme-2"));
        for bad in ["", "Acme", "a b", "a'b", &"x".repeat(101)] {
            assert!(bad.parse::<Named>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn of_several_with_a_slug_the_one_is_meant_that_is_not_deleted() {
        let acme: Named = "acme".parse().unwrap();
        let pick = |found| pick(found, &acme, "x");
        assert_eq!(pick(vec![found(1, true), found(2, false)]).unwrap(), Some(found(2, false)));
        assert_eq!(pick(vec![found(1, true)]).unwrap(), Some(found(1, true)));
        assert_eq!(pick(Vec::new()).unwrap(), None);
        let error = pick(vec![found(1, true), found(2, true)]).unwrap_err().to_string();
        assert!(error.contains(&Uuid::from_u128(2).to_string()), "{error}");
    }
}
