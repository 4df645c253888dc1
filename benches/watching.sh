#!/usr/bin/env bash
# What it costs to be watched: the service's throughput with every metric and JSON log lines on, beside
# both off, in the same run on the same data. Prints Markdown for docs/performance.md. Needs wrk, and
# PostgreSQL's programs (PG_BIN).
#
# The machine's own speed changes more from one half minute to the next than what is measured, so each
# round measures both, one right after the other and in turns first, and its ratio is taken of that.
#
#   benches/watching.sh [SECONDS] [ROUNDS]     4 and 11 unless given
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-4} rounds=${2:-11}
. benches/ground.sh

# The access line of each request goes to the log, as in production; Prometheus asks every second.
watched() { LOG_LEVEL=info LOG_FORMAT=json METRICS_INTERVAL=10 start_server; while sleep 1; do curl -s "http://127.0.0.1:$http/metrics" -o /dev/null; done & scraper=$!; }
unwatched() { METRICS_ENABLED=false LOG_LEVEL=off,brownie::audit=off,brownie::security=off,brownie::performance=off start_server; }

for ((round = 1; round <= rounds; round++)); do
  for what in read list create; do
    if ((round % 2)); then modes="unwatched watched"; else modes="watched unwatched"; fi
    for mode in $modes; do
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

echo "| $connections connections, $(nproc) cores, $rounds rounds of $seconds s, medians | unwatched | watched | ratio | between |"
echo "|---|---|---|---|---|"
for what in read list create; do
  off=$(median <"$work/unwatched.$what") on=$(median <"$work/watched.$what")
  paste -d' ' "$work/watched.$what" "$work/unwatched.$what" | awk '{ print $1 / $2 }' | sort -n >"$work/ratios"
  case $what in read) name="read by id" ;; list) name="list page of 50" ;; create) name="create" ;; esac
  awk -v n="$name" -v off="$off" -v on="$on" '{ r[NR] = $1 } END { printf "| %s | %d | %d | %.2f | %.2f to %.2f |\n", n, off, on, r[int((NR + 1) / 2)], r[1], r[NR] }' "$work/ratios"
done
