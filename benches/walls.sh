#!/usr/bin/env bash
# What the walls cost: the service's throughput with row-level security on and off, each as a share of
# pgbench running the same statement in the same run on the same data. Prints Markdown for
# docs/performance.md. Needs wrk, and PostgreSQL's programs (PG_BIN).
#
#   benches/walls.sh [SECONDS] [ROUNDS]     10 and 3 unless given
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10} rounds=${2:-3}
. benches/ground.sh

walls() { psql -c "DO \$\$ DECLARE t record; BEGIN FOR t IN SELECT DISTINCT polrelid::regclass AS t FROM pg_policy LOOP
  EXECUTE format('ALTER TABLE %s $1 ROW LEVEL SECURITY', t.t); END LOOP; END \$\$"; }

for ((round = 1; round <= rounds; round++)); do
  for what in read list create; do
    of_pgbench $what >>"$work/pgbench.$what"
    clean
    for mode in ENABLE DISABLE; do
      walls $mode
      start_server
      of_http $what >>"$work/$mode.$what"
      stop_server
      clean
    done
  done
done
walls ENABLE

echo "| $connections connections, $(nproc) cores, median of $rounds rounds of $seconds s | pgbench | walls up | walls down | share of pgbench, up | down | price of the walls |"
echo "|---|---|---|---|---|---|---|"
for what in read list create; do
  p=$(median <"$work/pgbench.$what") u=$(median <"$work/ENABLE.$what") d=$(median <"$work/DISABLE.$what")
  case $what in read) name="read by id" ;; list) name="list page of 50" ;; create) name="create" ;; esac
  awk -v n="$name" -v p="$p" -v u="$u" -v d="$d" \
    'BEGIN { printf "| %s | %d | %d | %d | %.2f | %.2f | %d %% |\n", n, p, u, d, u / p, d / p, (1 - u / d) * 100 + 0.5 }'
done
