//! What the service is for: organizations, and their incidents.

use super::metrics;

/// From five minutes to a week.
const RESOLUTION: &[f64] =
    &[300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 86_400.0, 259_200.0, 604_800.0];

metrics! {
    AGENT_CONFIGS = "brownie_agent_configs", Gauge of Count, [],
        "Agent configurations that are not deleted.";
    AUDIT_RECORDS = "brownie_audit_records_total", Counter of Count, ["action", "resource"],
        "Changes that took effect, each with its audit row and its event: created, updated, deleted, restored or purged, by kind of thing.";
    BUSINESS_COLLECTED = "brownie_business_collected_timestamp_seconds", Gauge of Timestamp, [],
        "When the figures of this group were counted.";
    INCIDENT_RESOLUTION = "brownie_incident_resolution_seconds", Histogram of Seconds, ["priority"] in RESOLUTION,
        "Seconds from an incident's start to its resolution, in whole minutes, counted when it is resolved.";
    INCIDENTS = "brownie_incidents", Gauge of Count, ["priority", "status"],
        "Incidents that are not deleted, by status and priority.";
    INCIDENTS_ACTIVE = "brownie_incidents_active", Gauge of Count, [],
        "Incidents that are open, being investigated or in progress.";
    MIGRATIONS_APPLIED = "brownie_migrations_applied", Gauge of Count, [],
        "Migrations that the database records as applied.";
    MIGRATIONS_PENDING = "brownie_migrations_pending", Gauge of Count, [],
        "Migrations of this release that the database lacks. While it is not 0, requests are refused.";
    ORGANIZATIONS = "brownie_organizations", Gauge of Count, [],
        "Organizations that are not deleted.";
    OUTBOX_LAG_EVENTS = "brownie_outbox_lag_events", Gauge of Count, [],
        "Events that are written and not yet settled: readers do not see them before those who took a place before them have committed or gone.";
    OUTBOX_LAG_SECONDS = "brownie_outbox_lag_seconds", Gauge of Seconds, [],
        "For how long nothing has been settled although events wait, as far as this instance has looked; 0 when none waits.";
    TEAMS = "brownie_teams", Gauge of Count, [],
        "Teams that are not deleted.";
    USERS = "brownie_users", Gauge of Count, [],
        "Users who are not deleted.";
    USERS_ACTIVE = "brownie_users_active", Gauge of Count, [],
        "Users who began or continued a session within the last day.";
}
