//! What the store promises, on whatever runs it: each test takes a store and founds an
//! organization of its own. On PostgreSQL each has a database, too; `embedded.rs` runs all of them
//! one after the other on the embedded engine.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test both are how a promise is found broken"
)]

mod connections;
mod embedded;
mod events;
mod faults;
mod idempotency;
mod incidents;
mod isolation;
mod lifecycle;
mod memberships;
mod others;
mod pooler;
mod records;
mod schema;
mod standby;
mod teams;
mod users;
mod walls;

use brownie_persistence::{PoolOptions, Store};
use harness::Postgres;

macro_rules! suite {
    ($($module:ident: $($test:ident),+;)+) => {
        mod on_postgres {
            $(mod $module {
                $(#[tokio::test]
                async fn $test() {
                    let database = harness::Postgres::shared().database();
                    let store = harness::open(database.url());
                    crate::$module::$test(&store).await;
                    store.close().await;
                })+
            })+
        }

        /// Runs the whole suite on one store.
        pub(crate) async fn run(store: &Store) {
            $($(
                println!("{}: {}", stringify!($module), stringify!($test));
                $module::$test(store).await;
            )+)+
        }
    };
}

suite! {
    teams:
        a_team_is_created_read_and_listed,
        a_name_or_slug_is_taken_once_and_free_after_deletion,
        a_change_names_its_version_and_the_second_writer_loses,
        of_two_writers_with_the_same_version_exactly_one_wins,
        a_patch_changes_what_it_mentions,
        a_deleted_team_is_hidden_and_comes_back,
        a_team_that_is_a_home_cannot_be_deleted,
        the_limit_of_teams_is_exact_under_concurrency,
        pages_neither_repeat_nor_hide_a_row;
    users:
        a_mailbox_is_one_account_in_any_case,
        the_last_admin_stays,
        a_team_takes_as_many_users_as_it_may,
        who_is_inactive_or_deleted_does_not_come_in;
    memberships:
        a_role_in_another_team_counts_there,
        the_home_team_cannot_be_left_only_changed,
        a_membership_ends_with_the_user_and_with_a_move;
    incidents:
        an_incident_lives_and_dies,
        the_same_idempotency_key_makes_one_incident,
        a_key_of_another_team_shows_nothing,
        a_filter_finds_what_it_says,
        an_assignee_must_be_there;
    idempotency:
        an_answer_is_kept_with_what_it_answers,
        a_unit_that_is_given_up_leaves_its_key_free;
    others:
        an_agent_configuration_is_kept_as_sent,
        statistics_are_listed_by_their_own_time,
        the_organization_changes_itself;
    lifecycle:
        a_team_takes_what_is_in_it_along_and_brings_it_back,
        a_name_that_was_taken_meanwhile_keeps_the_old_one_away;
    isolation:
        another_organizations_rows_are_not_there,
        a_unit_that_fails_leaves_nothing,
        a_dropped_unit_leaves_nothing;
}

/// A slug that no other test of this database has.
pub(crate) fn slug(name: &str) -> String {
    format!("{name}-{}", harness::unique().replace('_', "-"))
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable_soon() {
    let _ = Postgres::shared();
    let nowhere =
        format!("postgres://u@127.0.0.1:{}/x?sslmode=disable", harness::free_port().unwrap());
    let store = Store::new(&PoolOptions::new(&nowhere)).unwrap();
    let ctx = brownie_persistence::SystemContext::for_visitor(
        brownie_domain::RequestId::from_uuid(uuid::Uuid::nil()),
    );
    let started = std::time::Instant::now();
    let error = store.system(&ctx).ping().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}
