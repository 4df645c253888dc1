#!/usr/bin/env bash
# Runs every test, on a fresh Debian or Ubuntu with a Rust toolchain; tests/install.sh brings the rest.
#
#   tests/run.sh           everything; the store suite on PostgreSQL 15, on 18, and embedded
#   tests/run.sh --long    the long durability runs (ten minutes, mostly the release build)
set -euo pipefail
cd "$(dirname "$0")/.."

tests/install.sh
cargo build --locked --workspace --bins

if [ "${1:-}" = --long ]; then
  cargo build --locked --workspace --bins --release
  BROWNIE_TEST_LONG=yes cargo test --locked --release -p brownie-tests --test it -- durability --nocapture
  exit
fi

cargo test --locked --workspace
echo
echo "The store on PostgreSQL 18:"
BROWNIE_TEST_PG_BIN=${BROWNIE_PARTS:-/var/tmp/brownie-parts}/postgresql-18/bin \
  cargo test --locked --workspace --test it -- store:: schema:: migrator::
