#!/usr/bin/env bash
# What the server holds in memory at the most, by kind of load, and a minute later (benches/memory.py says of what).
# Needs PostgreSQL's programs (PG_BIN).
#
#   benches/memory.sh [SECONDS]     how long slow readers stay; 20 unless given
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/ground.sh
start_server
python3 benches/memory.py "http://127.0.0.1:$http" "$server" "$token" "${1:-20}"
