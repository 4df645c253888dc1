//! Requests that may be sent again: what was answered to an `Idempotency-Key`, kept in the
//! transaction that did what was asked.
//!
//! The first of several equal requests claims the key, and the others wait for it at the unique
//! index: whatever becomes of its transaction, they see it. If it fails, the next one claims.

use std::collections::BTreeMap;

use brownie_domain::Timestamp;
use chrono::TimeDelta;
use sea_orm::{DbBackend, Statement};

use crate::{Error, OrgScope, Result, Writing};

/// How long an answer is kept.
const KEPT: TimeDelta = TimeDelta::hours(24);

/// What is stored while there is no answer yet. Only the transaction that wrote it sees it.
const NOT_YET: i16 = 102;

/// A request that may be sent again.
#[derive(Debug, Clone)]
pub struct Repeatable {
    /// The SHA-256 of what its sender calls it, in hexadecimal. The name itself is not stored: the
    /// fingerprint is made with it, so that whoever has the rows cannot try out what was sent.
    pub key: String,
    /// Where it goes: the method and the route's template. One key may be used on several.
    pub route: String,
    /// The SHA-256 of its name and all that it says.
    pub fingerprint: [u8; 32],
}

/// An answer, as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The status.
    pub status: u16,
    /// The headers that belong to it.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// What is to be done about a request that may be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is new. Whoever does it keeps the answer in the same unit of work.
    New,
    /// It was done, and answered so.
    Done(KeptAnswer),
    /// Its key belongs to another request.
    Taken,
}

const CLAIM: &str = "
    INSERT INTO idempotency_keys AS mine (org_id, id, principal_id, route, key, fingerprint,
        response_status, response_body, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8, $9)
    ON CONFLICT (org_id, principal_id, route, key) DO UPDATE
        SET id = excluded.id, fingerprint = excluded.fingerprint,
            response_status = excluded.response_status, response_headers = '{}',
            response_body = '', created_at = excluded.created_at, expires_at = excluded.expires_at
        WHERE mine.expires_at <= excluded.created_at
    RETURNING id";

const LOOK: &str = "
    SELECT fingerprint, response_status, response_headers, response_body
    FROM idempotency_keys
    WHERE org_id = $1 AND principal_id = $2 AND route = $3 AND key = $4";

const KEEP: &str = "
    UPDATE idempotency_keys
    SET response_status = $5, response_headers = $6, response_body = $7
    WHERE org_id = $1 AND principal_id = $2 AND route = $3 AND key = $4";

const PURGE: &str = "
    DELETE FROM idempotency_keys WHERE org_id = $1 AND id IN (
        SELECT id FROM idempotency_keys WHERE org_id = $1 AND expires_at <= $2
        ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED)
    RETURNING id";

impl OrgScope<Writing> {
    /// Claims a request for this unit of work, after waiting for the same request elsewhere.
    ///
    /// # Errors
    /// [`Error::Locked`] when that takes too long.
    pub async fn claim(&self, request: &Repeatable) -> Result<Claim> {
        let now = self.now();
        let [org_id, principal, route, key] = self.of_request(request);
        let claim = Statement::from_sql_and_values(
            DbBackend::Postgres,
            CLAIM,
            [
                org_id.clone(),
                self.new_id(now).into(),
                principal.clone(),
                route.clone(),
                key.clone(),
                request.fingerprint.to_vec().into(),
                NOT_YET.into(),
                now.into(),
                (now + KEPT).into(),
            ],
        );
        if !self.rows(claim).await?.is_empty() {
            return Ok(Claim::New);
        }
        let look = Statement::from_sql_and_values(
            DbBackend::Postgres,
            LOOK,
            [org_id, principal, route, key],
        );
        let rows = self.rows(look).await?;
        // It was removed in between, as its time was over.
        let row = rows.first().ok_or(Error::Contended)?;
        if row.try_get::<_, Vec<u8>>("fingerprint")? != request.fingerprint {
            return Ok(Claim::Taken);
        }
        let headers: serde_json::Value = row.try_get("response_headers")?;
        Ok(Claim::Done(KeptAnswer {
            status: u16::try_from(row.try_get::<_, i16>("response_status")?).unwrap_or_default(),
            headers: serde_json::from_value(headers).unwrap_or_default(),
            body: row.try_get("response_body")?,
        }))
    }

    /// Keeps the answer to a request that this unit of work has claimed.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn keep(&self, request: &Repeatable, answer: &KeptAnswer) -> Result<()> {
        let [org_id, principal, route, key] = self.of_request(request);
        let keep = Statement::from_sql_and_values(
            DbBackend::Postgres,
            KEEP,
            [
                org_id,
                principal,
                route,
                key,
                i16::try_from(answer.status).unwrap_or_default().into(),
                serde_json::json!(answer.headers).into(),
                answer.body.clone().into(),
            ],
        );
        self.rows(keep).await.map(drop)
    }

    /// Removes some answers whose time is over. Returns how many: none when there are no more.
    pub(crate) async fn forget_answers(&self, now: Timestamp) -> Result<u64> {
        let purge = Statement::from_sql_and_values(
            DbBackend::Postgres,
            PURGE,
            [self.org_id().as_uuid().into(), now.into()],
        );
        Ok(self.rows(purge).await?.len() as u64)
    }

    /// Whose request it is: nobody's key is another's.
    fn of_request(&self, request: &Repeatable) -> [sea_orm::Value; 4] {
        let principal = self.ctx().actor().id().unwrap_or_default();
        [
            self.org_id().as_uuid().into(),
            principal.into(),
            request.route.clone().into(),
            request.key.clone().into(),
        ]
    }
}
