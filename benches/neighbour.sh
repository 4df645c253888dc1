#!/usr/bin/env bash
# What a noisy organization costs its neighbours: ten others with small requests, without it, beside it, and beside it
# where nobody has a share (the control). Prints how long they waited, and the most memory that the server had.
# Needs PostgreSQL's programs (PG_BIN). Its own load takes a part of the same cores.
#
#   benches/neighbour.sh [SECONDS] [ROUNDS]     60 and 3 unless given
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60} rounds=${2:-3}
metrics_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
. benches/ground.sh

run() { # name, clients
  local most
  python3 benches/neighbour.py "http://127.0.0.1:$http" "http://127.0.0.1:$metrics_port" "$seconds" "$2" "$token" >"$work/answer"
  most=$(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$server/status")
  echo "$1: $(cat "$work/answer") most memory $most MiB"
}
for ((round = 1; round <= rounds; round++)); do
  start_server; run quiet 0; run beside 32; sleep 5
  echo "memory 5 s later: $(awk '/VmRSS/ { print int($2 / 1024) }' "/proc/$server/status") MiB"; stop_server; clean
  DB_POOL_SHARE=$connections METADATA_ORGANIZATION_REQUESTS=0 start_server; run "without shares" 32; stop_server; clean
done
