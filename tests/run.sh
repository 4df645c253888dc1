#!/usr/bin/env bash
# Runs every test, on a fresh Debian or Ubuntu with a Rust toolchain; tests/install.sh brings the rest.
#
#   tests/run.sh             everything; the store suite on PostgreSQL 15, on 18, and embedded
#   tests/run.sh --long      the long runs: kills by the thirty, ten thousand cuts, a minute of events,
#                            an upgrade of two million rows, ten minutes of certificates that live for
#                            one; backups and restores killed by the thirty, and stores that are away for
#                            a minute (three quarters of an hour)
#   tests/run.sh --failover  a Patroni cluster that loses its leader ten times (six minutes)
set -euo pipefail
cd "$(dirname "$0")/.."

tests/install.sh
cargo build --locked --workspace --bins

case "${1:-}" in
  --long)
    BROWNIE_TEST_LONG=yes cargo test --locked -p brownie-tests --test it -- \
      --test-threads 1 --nocapture durability:: cuts:: store::events::each_reader migrator::a_killed migrator::traffic mtls::rotation clients::a_fuzzer
    BROWNIE_TEST_LONG=yes cargo test --locked -p brownie-backup-worker --test it -- \
      --test-threads 2 kills:: outages::
    exit ;;
  --failover)
    tests/parts/install-failover.sh
    cargo test --locked -p brownie-tests --test it -- --ignored --nocapture failover::
    exit ;;
esac

cargo test --locked --workspace
echo
echo "The store on PostgreSQL 18:"
BROWNIE_TEST_PG_BIN=${BROWNIE_PARTS:-/var/tmp/brownie-parts}/postgresql-18/bin \
  cargo test --locked --workspace --test it -- store:: schema:: migrator:: walls:: plans:: pooler:: monitoring::the_sql
