#!/usr/bin/env bash
# What it costs to be watched: the service's throughput with every metric and JSON log lines on, beside
# both off, in the same run on the same data. Prints Markdown for docs/performance.md. Needs wrk, and
# PostgreSQL's programs (PG_BIN).
#
# The machine's own speed changes more from one half minute to the next than what is measured, so each
# round measures both, one right after the other and in turns first. The ratio is that of all rounds together;
# the processor time that the service takes for a request varies less.
#
#   benches/watching.sh [SECONDS] [ROUNDS]     4 and 11 unless given
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-4} rounds=${2:-11}
. benches/ground.sh

# The access line of each request goes to the log, as in production; Prometheus asks every second.
watched() { LOG_LEVEL=info LOG_FORMAT=json METRICS_INTERVAL=10 start_server; while sleep 1; do curl -s "http://127.0.0.1:$http/metrics" -o /dev/null; done & scraper=$!; }
unwatched() { METRICS_ENABLED=false LOG_LEVEL=off,brownie::audit=off,brownie::security=off,brownie::performance=off start_server; }

ticks() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }

for ((round = 1; round <= rounds; round++)); do
  for what in read list create; do
    if ((round % 2)); then modes="unwatched watched"; else modes="watched unwatched"; fi
    for mode in $modes; do
      scraper=
      $mode
      before=$(ticks) rate=$(of_http $what) after=$(ticks)
      echo "$rate" >>"$work/$mode.$what"
      echo "$before $after $rate" | awk -v s="$seconds" -v hz="$(getconf CLK_TCK)" '{ print ($2 - $1) * 1e6 / hz / ($3 * s) }' >>"$work/$mode.$what.time"
      [ -z "$scraper" ] || kill "$scraper"
      if [ $mode = watched ]; then lines=$(grep -c '"answered"' "$work/server.log"); [ "$lines" -gt 100 ] || { echo "no log lines" >&2; exit 1; }; fi
      stop_server
      clean
    done
  done
done

echo "| $connections connections, $(nproc) cores, $rounds rounds of $seconds s, medians | unwatched | watched | ratio | by round | processor time, unwatched | watched |"
echo "|---|---|---|---|---|---|---|"
for what in read list create; do
  off=$(median <"$work/unwatched.$what") on=$(median <"$work/watched.$what")
  off_time=$(median <"$work/unwatched.$what.time") on_time=$(median <"$work/watched.$what.time")
  case $what in read) name="read by id" ;; list) name="list page of 50" ;; create) name="create" ;; esac
  paste -d' ' "$work/watched.$what" "$work/unwatched.$what" | awk '{ print $1 / $2, $1, $2 }' | sort -n |
    awk -v n="$name" -v off="$off" -v on="$on" -v off_time="$off_time" -v on_time="$on_time" '
      { r[NR] = $1; watched += $2; unwatched += $3 }
      END { printf "| %s | %d | %d | %.2f | %.2f to %.2f | %d µs | %d µs |\n", n, off, on, watched / unwatched, r[1], r[NR], off_time, on_time }'
done
