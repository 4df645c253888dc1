//! The search in the texts of a team's incidents: rows are read in the order of the list, a few at a time,
//! and judged here. Each batch is a statement of its own, which gives its connection back in between.

use std::{
    num::NonZero,
    sync::{Arc, LazyLock},
    thread::available_parallelism,
    time::Duration,
};

use brownie_domain::{Page, PageRequest, Position, Search, TeamId};
use sea_orm::{ColumnTrait, DbBackend, QueryFilter, QuerySelect, QueryTrait};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Incident, IncidentFilter, Incidents};
use crate::{
    Error, Result,
    entity::incidents,
    scope::{models, newest_first},
};

/// How long a search reads on. Its page ends then, with a cursor.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many rows the first batch has, and the most that any has.
const ROWS: (u64, u64) = (8, 1_024);
/// How much text a batch should have, in bytes.
const TEXT: u64 = 256 << 10;

/// As many batches are read and judged at a time, whoever searches: half of the processors, so that other
/// requests have the rest, and as many batches are in memory.
static JUDGES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZero::get).div_ceil(2)))
});

/// What was found in a batch.
struct Judged {
    found: Vec<Position>,
    /// The last row that was looked at; none when there was none.
    last: Option<Position>,
    /// How many rows the next batch should have.
    next: u64,
}

impl<Mode> Incidents<'_, Mode> {
    pub(super) async fn search(
        &self,
        team_id: TeamId,
        filter: IncidentFilter,
        search: Search,
        page: PageRequest,
    ) -> Result<Page<Incident>> {
        let until = Instant::now() + PATIENCE;
        let wanted = usize::try_from(page.limit()).unwrap_or(usize::MAX);
        let judge = Arc::new((filter, search));
        let (mut found, mut after, mut size) = (Vec::new(), page.after(), ROWS.0);
        // One more than wanted tells whether there is another page.
        let next = loop {
            let turn = timeout_at(until, Arc::clone(&JUDGES).acquire_owned()).await;
            let Ok(Ok(permit)) = turn else {
                // Others search, too. What was looked at so far is a page.
                if after == page.after() {
                    return Err(Error::Unavailable(None));
                }
                break after;
            };
            let rows = self.texts(team_id, &judge.0, after, size).await?;
            let is_last = u64::try_from(rows.len()).is_ok_and(|read| read < size);
            let judged = Self::judge(rows, size, Arc::clone(&judge), permit).await?;
            found.extend(judged.found);
            (after, size) = (judged.last.or(after), judged.next);
            if found.len() > wanted {
                found.truncate(wanted);
                break found.last().copied();
            }
            if is_last {
                break None;
            }
            if Instant::now() > until {
                break after;
            }
        };
        let (items, is_cut) = self.whole(&found).await?;
        let end = || {
            items.last().map(|last| Position { at: last.stamps.created_at, id: last.id.as_uuid() })
        };
        let next = if is_cut { end().or(next) } else { next };
        Ok(Page { items, next })
    }

    /// Returns the next rows of the list, as much of them as is judged.
    async fn texts(
        &self,
        team_id: TeamId,
        filter: &IncidentFilter,
        after: Option<Position>,
        size: u64,
    ) -> Result<Vec<Row>> {
        use incidents::Column::{CreatedAt, Description, Id, Priority, Status, Title};
        let select = self
            .scope
            .select::<incidents::Entity>()
            .select_only()
            .columns([Id, CreatedAt, Status, Priority, Title, Description])
            .filter(incidents::Column::TeamId.eq(team_id.as_uuid()))
            // The rest of the filter has no index: a batch would not end before it is full.
            .filter(
                IncidentFilter { since: filter.since, ..IncidentFilter::default() }.condition(),
            );
        let select = newest_first(select, CreatedAt, after).limit(size);
        self.scope.rows(select.build(DbBackend::Postgres)).await
    }

    /// Judges rows on a thread where nobody waits. The permit goes along: who gives up waiting frees no judge.
    async fn judge(
        rows: Vec<Row>,
        size: u64,
        judge: Arc<(IncidentFilter, Search)>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Judged> {
        let work = move || {
            let _permit = permit;
            let (filter, search) = &*judge;
            let mut judged = Judged { found: Vec::new(), last: None, next: ROWS.1 };
            let mut bytes = 0;
            for row in &rows {
                let at = Position { at: row.try_get("created_at")?, id: row.try_get("id")? };
                let title: &str = row.try_get("title")?;
                let description =
                    row.try_get::<_, Option<&str>>("description")?.unwrap_or_default();
                let (status, priority): (&str, &str) =
                    (row.try_get("status")?, row.try_get("priority")?);
                bytes += title.len() + description.len();
                judged.last = Some(at);
                if filter.status.is_none_or(|wanted| wanted.as_str() == status)
                    && filter.priority.is_none_or(|wanted| wanted.as_str() == priority)
                    && search.finds(&[title, description])
                {
                    judged.found.push(at);
                }
            }
            if let Some(each) = bytes.checked_div(rows.len()) {
                let fits = TEXT / u64::try_from(each).unwrap_or(u64::MAX).max(1);
                // The rows to come may have longer texts than these.
                judged.next = fits.clamp(ROWS.0, ROWS.1).min(size * 4);
            }
            Ok(judged)
        };
        spawn_blocking(work).await.map_err(|error| Error::Database(Box::new(error)))?
    }

    /// Returns the incidents at these positions, in the order of the list, as many as a page may have, and
    /// whether that is not all. One that was deleted meanwhile is left out.
    async fn whole(&self, found: &[Position]) -> Result<(Vec<Incident>, bool)> {
        if found.is_empty() {
            return Ok((Vec::new(), false));
        }
        let ids: Vec<Uuid> = found.iter().map(|position| position.id).collect();
        let select =
            self.scope.select::<incidents::Entity>().filter(incidents::Column::Id.is_in(ids));
        let select = newest_first(select, incidents::Column::CreatedAt, None);
        let (rows, is_cut) = self.scope.page_of(select.build(DbBackend::Postgres)).await?;
        let rows = models::<incidents::Entity>(&rows)?;
        let incidents = rows.into_iter().map(Incident::try_from).collect::<Result<_>>()?;
        Ok((incidents, is_cut))
    }
}
