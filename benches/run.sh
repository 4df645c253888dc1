#!/usr/bin/env bash
# What the service does a second, as a share of pgbench -M prepared running the same statement in the same
# run on the same data; the slowest of a hundred requests at 64 connections; memory, with 1,000 idle
# connections; and where the time of a read goes. Prints Markdown for docs/performance.md.
#
#   benches/run.sh [SECONDS] [ROUNDS]     5 and 3 unless given; the profile needs perf and root
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-5} rounds=${2:-3}
. benches/ground.sh

# Thirty configurations, three of which apply.
start_server
for n in $(seq 30); do
  pattern=$([ $((n % 10)) = 0 ] && echo 'cpu-.*' || echo "disk-$n-.*")
  curl -fs "http://127.0.0.1:$http/api/v1/configs" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -o /dev/null -d \
    "{\"name\":\"c-$n\",\"config_type\":\"alert\",\"status\":\"active\",\"name_pattern\":\"$pattern\",\"priority\":$n,\"source_format\":\"yaml\",\"source\":\"threshold: $n\\nnotify: {channel: ops-$n}\\n\"}"
done
stop_server
psql -c 'ANALYZE configs'

for ((round = 1; round <= rounds; round++)); do
  for what in read list create update resolve; do
    of_pgbench $what >>"$work/pgbench.$what"
    clean
    start_server
    of_http $what >>"$work/http.$what"
    stop_server
    clean
    start_server
    of_http $what 64 >>"$work/http64.$what"
    p99 >>"$work/p99.$what"
    stop_server
    clean
  done
done

echo "| $connections connections, $(nproc) cores, median of $rounds rounds of $seconds s | pgbench | service | share | at 64 connections | p99 there |"
echo "|---|---|---|---|---|---|"
for what in read list create update resolve; do
  p=$(median <"$work/pgbench.$what") h=$(median <"$work/http.$what") h64=$(median <"$work/http64.$what")
  case $what in read) name="read by id" ;; list) name="list page of 50" ;; update) name="update at a version" ;; resolve) name="resolve a configuration" ;; *) name=$what ;; esac
  awk -v n="$name" -v p="$p" -v h="$h" -v h64="$h64" -v l="$(tr '\n' ' ' <"$work/p99.$what")" \
    'BEGIN { printf "| %s | %d | %d | %.2f | %d | %s|\n", n, p, h, h / p, h64, l }'
done

start_server
resident() { awk '/VmRSS/ { printf "%.0f MB", $2 / 1024 }' "/proc/$server/status"; }
echo
echo "Memory: $(resident) at start; $(of_http read 64 >/dev/null; resident) after reads at 64 connections;"
python3 - "$http" "$server" "$token" <<'PY'
import socket, sys
port, server, token = int(sys.argv[1]), sys.argv[2], sys.argv[3]
idle = []
for _ in range(1000):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(f"GET /api/v1/auth/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    assert b"200 OK" in s.recv(4096)
    idle.append(s)
resident = next(int(line.split()[1]) for line in open(f"/proc/{server}/status") if line.startswith("VmRSS"))
print(f"{resident / 1024:.0f} MB with 1,000 idle connections, each of which has asked once.")
PY

if command -v perf >/dev/null && [ "$(id -u)" = 0 ]; then
  echo
  echo "| who works during reads by id | of all samples |"
  echo "|---|---|"
  (of_http read >/dev/null) &
  sleep 1
  perf record -q -o "$work/perf.data" -F 999 -a -- sleep $((seconds > 3 ? seconds - 2 : 1)) >/dev/null 2>&1
  wait $!
  perf report -i "$work/perf.data" --sort comm,dso --stdio 2>/dev/null | awk '
    /^ *[0-9.]+%/ {
      share = $1 + 0; $1 = ""
      part = /kernel/ ? "kernel" : /libc/ ? "memory and libc" : "own code"
      who = /actix-server/ ? "our HTTP workers" : /tokio-rt/ ? "our database connections" : /postgres/ ? "PostgreSQL" : /wrk/ ? "wrk" : "others"
      sum[who ": " part] += share
    }
    END { for (who in sum) if (sum[who] >= 0.5) printf "| %s | %.0f %% |\n", who, sum[who] }' | sort -t '|' -k 3 -rn
fi
stop_server
