#!/usr/bin/env bash
# What one request costs, by what does not depend on the machine's mood: processor time of the service and of
# PostgreSQL apart (from /proc, in nanoseconds), beside the bare statement in the same run; instructions in
# user mode; allocations, Rust's and C's apart; context switches, system calls, statements and round trips.
# Prints Markdown.
#
#   benches/cost.sh [SECONDS] [ROUNDS]     3 and 3 unless given
#
# Needs wrk, perf, valgrind and a C compiler; root, for perf. Processor time of one thing differs by up to half
# with what else the machine does: medians of rounds are printed, and ratios of one run are what to go by.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-3} rounds=${2:-3}
. benches/ground.sh
kinds="none read list create update"
cp "$built/brownie-server" "$work/plain"
# The same packages as before: with others, all dependencies would be built anew.
cargo build --locked --profile "$profile" --quiet -p brownie-server -p brownie-migrator -p brownie-backup-worker \
  --features brownie-server/count-allocations
cp "$built/brownie-server" "$work/counting"
server_program=$work/plain

# Nanoseconds on a processor, and context switches, of all threads of some processes, one of which may end
# before it is read.
spent() { { cat $(printf '/proc/%s/task/*/schedstat ' "$@") 2>/dev/null || true; } | awk '{ s += $1 } END { printf "%.0f\n", s }'; }
switches() { { cat $(printf '/proc/%s/task/*/status ' "$@") 2>/dev/null || true; } | awk '/^voluntary/ { v += $2 } /^nonvoluntary/ { n += $2 } END { print v, n }'; }
backends() { pgrep -P "$(head -n 1 "$work/data/postmaster.pid")"; }
requests() { awk '/requests in/ { print $1 }' "$work/wrk.log"; }
note() { echo "$3" >>"$work/cost.$1.$2"; } # kind, figure, value
per() { awk -v a="$1" -v b="$2" -v n="$3" -v unit="$4" 'BEGIN { printf "%.2f\n", (b - a) / unit / n }'; }

# Processor time, switches and system calls under load, and PostgreSQL's time for the bare statement.
for ((round = 1; round <= rounds; round++)); do
  for kind in $kinds; do
    start_server
    of_http "$kind" >/dev/null
    clean
    sleep 0.5 # for the session that cleaned to end
    before=$(spent "$server") pg_before=$(spent $(backends)) switched=$(switches "$server") pg_switched=$(switches $(backends))
    of_http "$kind" >/dev/null
    n=$(requests) after=$(spent "$server") pg_after=$(spent $(backends)) now=$(switches "$server") pg_now=$(switches $(backends))
    note "$kind" service "$(per "$before" "$after" "$n" 1000)"
    note "$kind" postgres "$(per "$pg_before" "$pg_after" "$n" 1000)"
    note "$kind" wanted "$(per "${switched% *}" "${now% *}" "$n" 1)"
    note "$kind" unwanted "$(per "${switched#* }" "${now#* }" "$n" 1)"
    note "$kind" pg_wanted "$(per "${pg_switched% *}" "${pg_now% *}" "$n" 1)"
    clean
    perf stat -x , -o "$work/perf" -e raw_syscalls:sys_enter -p "$server" -- sleep $((seconds + 2)) 2>/dev/null &
    of_http "$kind" >/dev/null
    wait $!
    note "$kind" syscalls "$(per 0 "$(awk -F , '/sys_enter/ { print $1 }' "$work/perf")" "$(requests)" 1)"
    stop_server
    clean
    [ "$kind" = none ] && continue
    : >"$work/wrk.log"
    "$pg_bin/pgbench" -n -M prepared -f "$work/$kind.sql" -c "$connections" -j 2 -T "$((seconds + 2))" \
      -h 127.0.0.1 -p "$port" -U postgres bench >"$work/pgbench.log" 2>/dev/null &
    running=$!
    sleep 1
    pg_before=$(spent $(backends)) counted=$(psql -c "SELECT xact_commit FROM pg_stat_database WHERE datname = 'bench'")
    sleep "$seconds"
    pg_after=$(spent $(backends)) now=$(psql -c "SELECT xact_commit FROM pg_stat_database WHERE datname = 'bench'")
    wait "$running"
    note "$kind" bare "$(per "$pg_before" "$pg_after" "$((now - counted))" 1000)"
    clean
  done
done

# A hundred requests on one connection, one at a time, after thirty to warm up.
cat >"$work/ask.py" <<'PY'
import http.client, itertools, sys
kind, port, token, team, ids, first, count = sys.argv[1:4] + [sys.argv[4]] + sys.argv[5:]
ids = open(ids).read().split()
headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
connection = http.client.HTTPConnection("127.0.0.1", int(port))
body = '{"title":"Disk almost full","description":"' + "lorem ipsum " * 30 + '","incident_metadata":{"host":"db-1"}}'
for n in range(int(first), int(first) + int(count)):
    if kind == "none": ask = ("GET", "/api/v1/authz/explain?action=incidents.read", None, {})
    if kind == "read": ask = ("GET", f"/api/v1/incidents/{ids[n]}", None, {})
    if kind == "list": ask = ("GET", f"/api/v1/teams/{team}/incidents?limit=50", None, {})
    if kind == "create": ask = ("POST", f"/api/v1/teams/{team}/incidents", body, {})
    if kind == "update": ask = ("PATCH", f"/api/v1/incidents/{ids[n]}", '{"priority":"high"}', {"If-Match": '"v1"'})
    connection.request(ask[0], ask[1], ask[2], headers | ask[3])
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status in (200, 201), (answer.status, text)
PY
ask() { python3 "$work/ask.py" "$1" "$http" "$token" "$team" "$work/ids" "$2" "$3"; }

# Instructions: the server under callgrind, with one worker.
for kind in $kinds; do
  printf '#!/bin/sh\nexec valgrind -q --tool=callgrind --instr-atstart=no --callgrind-out-file=%s/callgrind.out %s/plain\n' "$work" "$work" >"$work/callgrind"
  chmod +x "$work/callgrind"
  server_program=$work/callgrind METADATA_WORKERS=1 start_server
  ask "$kind" 1 30
  callgrind_control -i on "$server" >/dev/null 2>&1
  ask "$kind" 31 100
  callgrind_control -i off "$server" >/dev/null 2>&1
  callgrind_control -d "$server" >/dev/null 2>&1
  note "$kind" instructions "$(cat "$work"/callgrind.out* | awk '/^totals:/ { s += $2 } END { printf "%.0f\n", s / 100 }')"
  stop_server
  rm -f "$work"/callgrind.out*
  clean
done

# Allocations: Rust's by the counting build, all of them by a malloc that counts before it calls the real one.
cat >"$work/malloc.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
static atomic_ulong spare, *count = &spare;
__attribute__((constructor)) static void begin(void) {
  int file = open(getenv("MALLOC_COUNT"), O_RDWR);
  if (file >= 0) count = mmap(0, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
}
void *malloc(size_t n) { (*count)++; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { (*count)++; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { (*count)++; return __libc_realloc(p, n); }
int posix_memalign(void **p, size_t a, size_t n) { (*count)++; return (*p = __libc_memalign(a, n)) ? 0 : 12; }
void *aligned_alloc(size_t a, size_t n) { (*count)++; return __libc_memalign(a, n); }
C
cc -shared -fPIC -O2 -o "$work/malloc.so" "$work/malloc.c"
head -c 8 /dev/zero >"$work/malloc.count"
printf '#!/bin/sh\nLD_PRELOAD=%s/malloc.so MALLOC_COUNT=%s/malloc.count exec %s/counting\n' "$work" "$work" "$work" >"$work/counted"
chmod +x "$work/counted"
rusts() { # allocations and bytes so far
  local lines; lines=$(grep -c ^allocations "$work/server.log" || true)
  kill -USR1 "$server"
  until [ "$(grep -c ^allocations "$work/server.log" || true)" -gt "$lines" ]; do sleep 0.02; done
  grep ^allocations "$work/server.log" | tail -n 1 | awk '{ print $2, $4 }'
}
alls() { od -An -t u8 "$work/malloc.count" | tr -d ' '; }
for kind in $kinds; do
  server_program=$work/counted METADATA_WORKERS=1 METRICS_INTERVAL=0 start_server
  ask "$kind" 1 30
  before=$(rusts) all_before=$(alls)
  ask "$kind" 31 100
  all_after=$(alls) after=$(rusts)
  note "$kind" allocations "$(per "${before% *}" "${after% *}" 100 1)"
  note "$kind" kilobytes "$(per "${before#* }" "${after#* }" 100 1000)"
  note "$kind" c_allocations "$(awk -v r="$(per "${before% *}" "${after% *}" 100 1)" -v a="$(per "$all_before" "$all_after" 100 1)" 'BEGIN { printf "%.2f\n", a - r }')"
  stop_server
  clean
done

# Statements and round trips: the access lines say them.
for kind in $kinds; do
  LOG_LEVEL=info LOG_FORMAT=json start_server
  ask "$kind" 1 30
  stop_server
  for figure in statements round_trips; do
    note "$kind" "$figure" "$(grep '"answered"' "$work/server.log" | tail -n 10 | sed -n "s/.*\"$figure\":\([0-9]*\).*/\1/p" | median)"
  done
  clean
done

of() { [ -e "$work/cost.$1.$2" ] && median <"$work/cost.$1.$2" || echo -; }
title() { case $1 in none) echo "no database" ;; read) echo "read by id" ;; list) echo "list of 50" ;; create) echo create ;; update) echo "PATCH of one field" ;; esac; }
echo "| processor time, µs a request at $connections connections, median of $rounds rounds of $seconds s | service | PostgreSQL | bare statement | PostgreSQL / bare |"
echo "|---|---|---|---|---|"
for kind in $kinds; do
  printf '| %s | %s | %s | %s | %s |\n' "$(title "$kind")" "$(of "$kind" service)" "$(of "$kind" postgres)" "$(of "$kind" bare)" \
    "$(awk -v a="$(of "$kind" postgres)" -v b="$(of "$kind" bare)" 'BEGIN { if (b + 0 > 0) printf "%.2f", a / b; else print "-" }')"
done
echo
echo "| a request | instructions, user mode | allocations, Rust's | … kB | C's | context switches wanted, unwanted | of PostgreSQL | system calls | statements | round trips |"
echo "|---|---|---|---|---|---|---|---|---|---|"
for kind in $kinds; do
  printf '| %s | %s | %s | %s | %s | %s, %s | %s | %s | %s | %s |\n' "$(title "$kind")" $(for figure in instructions allocations kilobytes \
    c_allocations wanted unwanted pg_wanted syscalls statements round_trips; do of "$kind" $figure; done)
done
