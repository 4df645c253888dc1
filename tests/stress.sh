#!/usr/bin/env bash
# Runs tests many times while something else takes a core, to find those that hope instead of wait.
#
#   tests/stress.sh SUITE [TIMES]     a suite of tests/, a part of one such as http::limits, a crate, or all
set -euo pipefail
cd "$(dirname "$0")/.."
suite=$1 times=${2:-10}
( while :; do :; done ) &
busy=$!
trap 'kill $busy' EXIT
case $suite in
  all) cargo nextest run --locked --workspace --stress-count "$times" ;;
  architecture*|http*|programs*|store*) tests/it.sh "$suite" --stress-count "$times" ;;
  *) cargo nextest run --locked -p "brownie-${suite#brownie-}" --stress-count "$times" ;;
esac
