#!/usr/bin/env bash
# Builds our programs for the tests that run them, with the features that the tests are built with, so
# that nothing is built twice: those of a build of programs alone are fewer. nextest runs it before such
# tests (.config/nextest.toml), and `cargo test` when the first of them asks.
#
#   tests/programs.sh [PROFILE]
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --locked --profile "${1:-dev}" --workspace --bins --test programs
[ -z "${NEXTEST_ENV:-}" ] || echo "TEST_PROGRAMS_BUILT=yes" >> "$NEXTEST_ENV"
