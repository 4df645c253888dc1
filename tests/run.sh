#!/usr/bin/env bash
# Runs every test, on a fresh Debian or Ubuntu with a Rust toolchain; tests/install.sh brings the rest.
#
#   tests/run.sh             everything; what speaks SQL on PostgreSQL 15, on 18, and embedded
#   tests/run.sh --long      the long runs: kills by the thirty, ten thousand cuts, a minute of events,
#                            an upgrade of two million rows, ten minutes of certificates that live for
#                            one; three thousand log-ins, timed; backups and restores killed by the thirty,
#                            and stores that are away for a minute (three quarters of an hour)
#   tests/run.sh --failover  a Patroni cluster that loses its leader ten times (six minutes)
set -euo pipefail
cd "$(dirname "$0")/.."

tests/install.sh
parts=${BROWNIE_PARTS:-/var/tmp/brownie-parts}
export PATH="$parts/tools:$PATH"

case "${1:-}" in
  --long)
    BROWNIE_TEST_LONG=yes cargo nextest run --locked --workspace --profile long -E '
      (binary(programs) & test(/^(durability::|migrator::a_killed|migrator::traffic|mtls::rotation|clients::a_fuzzer)/))
      | (binary(http) & test(/^(cuts::|guesses::answers)/))
      | (binary(store) & test(/^(events::each_reader|connections::s3d)/))
      | (package(brownie-backup-worker) & test(/^(kills|outages)::/))'
    exit ;;
  --failover)
    tests/parts/install-failover.sh
    cargo nextest run --locked --workspace --profile long --run-ignored all -E 'binary(programs) & test(/^failover::/)'
    exit ;;
esac

cargo nextest run --locked --workspace
tests/slowest.py "${CARGO_TARGET_DIR:-target}"
cargo test --locked --workspace --doc --quiet
echo
echo "On PostgreSQL 18:"
BROWNIE_TEST_PG_BIN=$parts/postgresql-18/bin cargo nextest run --locked --workspace -E '
  (binary(store) & not test(/^embedded::/))
  | (binary(http) & test(/^plans::/))
  | (binary(programs) & test(/^(migrator::|pooler::|footing::|monitoring::the_sql)/))'
