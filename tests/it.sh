#!/usr/bin/env bash
# Runs one suite of tests/ (architecture, http, programs, store), or the part of it whose names begin so.
#
#   tests/it.sh http
#   tests/it.sh http::limits [OPTION OF NEXTEST]...
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1%%::*} part=
[ "$suite" = "$1" ] || part=${1#*::}
shift
# With the features of the whole workspace, so that nothing is built that `tests/run.sh` does not build.
exec cargo nextest run --locked --workspace --test "$suite" -E "test(/^$part/)" "$@"
