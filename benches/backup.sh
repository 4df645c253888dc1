#!/usr/bin/env bash
# What brownie-backup takes beside PostgreSQL's own tools, on the same data in the same run: time, size
# and peak memory, and ratios. Ours encrypts, and compares everything that it restored; theirs do neither.
# Prints Markdown.
#
#   benches/backup.sh [MB] [ROUNDS]     512 and 3 unless given; 2048 needs 12 GB in /var/tmp
#
# PGBIN names the PostgreSQL programs; JOBS how many tables at once, 2 unless given.
set -euo pipefail
cd "$(dirname "$0")/.."
megabytes=${1:-512} rounds=${2:-3} jobs=${JOBS:-2}
bin=${PGBIN:-$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)}
# The same three as benches/ground.sh, so that neither builds anew what the other has built.
cargo build --release --locked -q -p brownie-server -p brownie-migrator -p brownie-backup-worker
programs=${CARGO_TARGET_DIR:-target}/release

work=$(mktemp -d /var/tmp/brownie-bench.XXXXXX)
chmod 755 "$work"
as_postgres() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi
}
finish() {
  as_postgres "$bin/pg_ctl" -D "$work/pg/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
mkdir "$work/pg"
[ "$(id -u)" != 0 ] || chown postgres "$work/pg"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
(cd "$work/pg" && as_postgres "$bin/initdb" -U postgres -A trust -E UTF8 --locale=C -D data >/dev/null &&
  as_postgres "$bin/pg_ctl" -D data -w -l log -o "-k $work/pg -p $port -c listen_addresses=127.0.0.1 \
    -c shared_buffers=512MB -c max_wal_size=4GB" start >/dev/null)
export PGHOST=127.0.0.1 PGPORT=$port PGUSER=postgres PGOPTIONS="-c client_min_messages=warning"
psql() { "$bin/psql" -qX -v ON_ERROR_STOP=1 "$@"; }
psql -d postgres -c 'CREATE DATABASE original'
export DATABASE_URL="postgres://postgres@127.0.0.1:$port/original?sslmode=disable" LOG_LEVEL=warn
"$programs/brownie-migrator" up >/dev/null
psql -d original -c "SET test.megabytes = $megabytes" -f bins/backup-worker/tests/it/large.sql >/dev/null
psql -d original -c CHECKPOINT

age-keygen -o "$work/identity" 2>/dev/null
BACKUP_AGE_RECIPIENTS=$(age-keygen -y "$work/identity")
export BACKUP_AGE_RECIPIENTS BACKUP_AGE_IDENTITY_FILE=$work/identity BACKUP_VERIFY=false
export BACKUP_DESTINATION=$work/backups BACKUP_PARALLEL_JOBS=$jobs

cat >"$work/measure.py" <<'END'
import os, resource, subprocess, sys, time
begun = time.monotonic()
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds = time.monotonic() - begun
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
with open(sys.argv[1], "a") as file:
    print(f"{seconds:.2f} {peak}", file=file)
END
measure() { python3 "$work/measure.py" "$work/$1" "${@:2}"; }
fresh() { psql -d postgres -c "DROP DATABASE IF EXISTS again WITH (FORCE)" -c "CREATE DATABASE again"; }

for ((round = 1; round <= rounds; round++)); do
  rm -rf "$work/backups" "$work/custom" "$work/folder"
  measure ours.dump "$programs/brownie-backup" backup --name one
  measure custom.dump "$bin/pg_dump" -Fc -f "$work/custom" original
  measure folder.dump "$bin/pg_dump" -Fd -j "$jobs" -f "$work/folder" original
  psql -d postgres -c "DROP DATABASE IF EXISTS again WITH (FORCE)" -c CHECKPOINT
  measure ours.restore "$programs/brownie-backup" restore one --target-db again
  fresh; psql -d postgres -c CHECKPOINT
  measure custom.restore "$bin/pg_restore" -d again "$work/custom"
  fresh; psql -d postgres -c CHECKPOINT
  measure folder.restore "$bin/pg_restore" -d again -j "$jobs" "$work/folder"
done

median() { cut -d' ' -f"$2" "$work/$1" | sort -n | sed -n "$(((rounds + 1) / 2))p"; }
size() { du -sm "$work/$1" | cut -f1; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
echo "PostgreSQL $(cut -d. -f1 "$work/pg/data/PG_VERSION"), $megabytes MB of rows as text, $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg), median of $rounds:"
echo
echo "| | brownie-backup | pg_dump -Fc, pg_restore | ratio | pg_dump -Fd -j$jobs, pg_restore -j$jobs | ratio |"
echo "|---|---|---|---|---|---|"
row() { # what, unit, ours, custom, folder
  echo "| $1 | $3 $2 | $4 $2 | $(ratio "$3" "$4") | $5 $2 | $(ratio "$3" "$5") |"
}
row "backup" s "$(median ours.dump 1)" "$(median custom.dump 1)" "$(median folder.dump 1)"
row "restore" s "$(median ours.restore 1)" "$(median custom.restore 1)" "$(median folder.restore 1)"
row "size" MB "$(size backups)" "$(size custom)" "$(size folder)"
row "peak memory of a backup" MB "$(median ours.dump 2)" "$(median custom.dump 2)" "$(median folder.dump 2)"
row "peak memory of a restore" MB "$(median ours.restore 2)" "$(median custom.restore 2)" "$(median folder.restore 2)"
echo
echo "Ours is encrypted, and everything restored was compared. Memory is that of the largest process."
