//! How much there is of what, in all organizations together: for metrics.

use std::time::Duration;

use crate::{Result, Store, engine::Lead};

/// What a look at the whole database found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Organizations that are not deleted.
    pub organizations: i64,
    /// Teams that are not deleted.
    pub teams: i64,
    /// Users who are not deleted.
    pub users: i64,
    /// Users who began or continued a session within a day.
    pub users_active: i64,
    /// Agent configurations that are not deleted.
    pub agent_configs: i64,
    /// How many incidents of which status and which priority.
    pub incidents: Vec<(String, String, i64)>,
    /// The last place in the order of events that was taken.
    pub events_taken: i64,
    /// The place up to which the order of events is settled.
    pub events_settled: i64,
}

/// Looks, if no other instance does: what [`Store::observer`] gives out.
#[derive(Debug)]
pub struct Observer {
    store: Store,
    lead: Lead,
}

impl Store {
    /// Returns what looks at the whole database. The first of all instances to look goes on looking
    /// until it ends, loses its connection, or has not looked for twice as long as it should; the others see
    /// nothing meanwhile.
    pub fn observer(&self, interval: Duration) -> Observer {
        Observer { store: self.clone(), lead: Lead::every(interval) }
    }
}

/// In one flight: the place that was taken last, before how far all is settled.
const LOOK: &str = "
    WITH taken AS MATERIALIZED (
        SELECT coalesce(pg_sequence_last_value('public.outbox_position'), 0) AS position
    )
    SELECT figure, status, priority, amount FROM public.business_figures()
    UNION ALL SELECT 'events_taken', NULL, NULL, position FROM taken
    UNION ALL SELECT 'events_settled', NULL, NULL, public.outbox_horizon() FROM taken";

impl Observer {
    /// Returns how long to wait until the next look: the interval, or longer if looking took long.
    pub fn rest(&self) -> Duration {
        self.lead.rest
    }

    /// Looks; `None` while another instance does.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn look(&mut self) -> Result<Option<Figures>> {
        let Some(rows) = self.store.engine().lead(&mut self.lead, LOOK).await? else {
            return Ok(None);
        };
        let mut figures = Figures::default();
        for row in rows {
            let amount: i64 = row.try_get("amount")?;
            let place = match row.try_get("figure")? {
                "organizations" => &mut figures.organizations,
                "teams" => &mut figures.teams,
                "users" => &mut figures.users,
                "users_active" => &mut figures.users_active,
                "agent_configs" => &mut figures.agent_configs,
                "events_taken" => &mut figures.events_taken,
                "events_settled" => &mut figures.events_settled,
                _ => {
                    let kind = (row.try_get("status")?, row.try_get("priority")?, amount);
                    figures.incidents.push(kind);
                    continue;
                }
            };
            *place = amount;
        }
        Ok(Some(figures))
    }
}
