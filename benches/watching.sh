#!/usr/bin/env bash
# What it costs to be watched: the service's throughput with every metric and JSON log lines on, beside
# both off, in the same run on the same data. Prints Markdown for docs/performance.md. Needs wrk, and
# PostgreSQL's programs (PG_BIN).
#
#   benches/watching.sh [SECONDS] [ROUNDS]     10 and 3 unless given
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10} rounds=${2:-3}
. benches/ground.sh

# The access line of each request goes to the log, as in production; Prometheus asks every second.
watched() { LOG_LEVEL=info LOG_FORMAT=json METRICS_INTERVAL=10 start_server; while sleep 1; do curl -s "http://127.0.0.1:$http/metrics" -o /dev/null; done & scraper=$!; }
unwatched() { METRICS_ENABLED=false LOG_LEVEL=off,brownie::audit=off,brownie::security=off,brownie::performance=off start_server; }

for ((round = 1; round <= rounds; round++)); do
  for what in read list create; do
    for mode in unwatched watched; do
      scraper=
      $mode
      of_http $what >>"$work/$mode.$what"
      [ -z "$scraper" ] || kill "$scraper"
      if [ $mode = watched ]; then lines=$(grep -c '"answered"' "$work/server.log"); [ "$lines" -gt 100 ] || { echo "no log lines" >&2; exit 1; }; fi
      stop_server
      clean
    done
  done
done

echo "| $connections connections, $(nproc) cores, median of $rounds rounds of $seconds s | unwatched | watched | ratio |"
echo "|---|---|---|---|"
for what in read list create; do
  off=$(median <"$work/unwatched.$what") on=$(median <"$work/watched.$what")
  case $what in read) name="read by id" ;; list) name="list page of 50" ;; create) name="create" ;; esac
  awk -v n="$name" -v off="$off" -v on="$on" 'BEGIN { printf "| %s | %d | %d | %.2f |\n", n, off, on, on / off }'
done
