#!/usr/bin/env bash
# What the walls cost: the service's throughput with row-level security on and off, each as a share of
# pgbench running the same statement in the same run on the same data. Prints Markdown for
# docs/performance.md. Needs wrk, and PostgreSQL's programs (PG_BIN).
#
#   benches/walls.sh [SECONDS] [ROUNDS]     10 and 3 unless given
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10} rounds=${2:-3} connections=16
pg_bin=${PG_BIN:-/usr/lib/postgresql/15/bin}
work=$(mktemp -d /tmp/brownie-bench.XXXXXX)
chmod 755 "$work"
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
as_postgres() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }
server=
stop() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  as_postgres "$pg_bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap stop EXIT

cargo build --locked --release --quiet -p brownie-server -p brownie-migrator
mkdir "$work/pg" && { [ "$(id -u)" != 0 ] || chown -R postgres "$work"; }
port=$(free_port) http=$(free_port)
as_postgres "$pg_bin/initdb" -U postgres -A trust -E UTF8 --locale=C -D "$work/data" >/dev/null
as_postgres "$pg_bin/pg_ctl" -D "$work/data" -l "$work/pg/log" -w start \
  -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work/pg -c shared_buffers=256MB" </dev/null >/dev/null
psql() { "$pg_bin/psql" -X -q -A -t -h 127.0.0.1 -p "$port" -U postgres -d bench -v ON_ERROR_STOP=1 "$@"; }
"$pg_bin/createdb" -h 127.0.0.1 -p "$port" -U postgres bench
DATABASE_URL="postgres://postgres@127.0.0.1:$port/bench?sslmode=disable" target/release/brownie-migrator up >/dev/null

start_server() {
  DATABASE_URL="postgres://brownie-server@127.0.0.1:$port/bench?sslmode=disable" DB_POOL_SIZE=$connections \
    DB_ALLOW_UNWALLED_ROLE=true METADATA_PORT=$http METRICS_PORT=0 LOG_LEVEL=error \
    METADATA_JWT_SECRET=0123456789012345678901234567890123456789 target/release/brownie-server </dev/null >"$work/server.log" 2>&1 &
  server=$!
  until curl -fs "http://127.0.0.1:$http/readyz" >/dev/null; do sleep 0.1; done
}
stop_server() { kill "$server"; wait "$server" || true; server=; }

start_server
answer=$(curl -fs "http://127.0.0.1:$http/api/v1/auth/signup" -H 'Content-Type: application/json' -d \
  '{"email":"a@b.example","password":"correct horse","username":"ada","organization_name":"Acme","team_name":"SRE"}')
token=$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])["access_token"])' "$answer")
stop_server
read -r org team < <(psql -F ' ' -c 'SELECT org_id, id FROM teams')
# Ten thousand incidents of about a kilobyte, in 50 organizations' worth of others.
psql <<SQL
INSERT INTO organizations (id, name, slug) SELECT gen_random_uuid(), 'o', 'o-' || n FROM generate_series(1, 50) n;
INSERT INTO teams (org_id, id, name, slug) SELECT id, gen_random_uuid(), 't', 't' FROM organizations WHERE slug LIKE 'o-%';
INSERT INTO incidents (org_id, id, team_id, title, description, incident_metadata, created_at)
  SELECT t.org_id, gen_random_uuid(), t.id, 'Disk almost full on db-' || n, repeat('lorem ipsum ', 30),
         jsonb_build_object('host', 'db-' || n, 'labels', jsonb_build_array('a', 'b', 'c')), now() - n * interval '1 minute'
  FROM teams t, generate_series(1, CASE WHEN t.id = '$team' THEN 10000 ELSE 1000 END) n;
VACUUM ANALYZE;
SQL
psql -c "SELECT id FROM incidents WHERE org_id = '$org'" >"$work/ids"
columns=$(psql -c "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
  WHERE attrelid = 'incidents'::regclass AND attnum > 0 AND NOT attisdropped")

cat >"$work/read.lua" <<LUA
local ids, n = {}, 0
for id in io.lines("$work/ids") do ids[#ids + 1] = id end
wrk.headers["Authorization"] = "Bearer $token"
request = function() n = n + 7919; return wrk.format("GET", "/api/v1/incidents/" .. ids[n % #ids + 1]) end
LUA
cat >"$work/list.lua" <<LUA
wrk.headers["Authorization"] = "Bearer $token"
request = function() return wrk.format("GET", "/api/v1/teams/$team/incidents?limit=50") end
LUA
cat >"$work/create.lua" <<LUA
wrk.headers["Authorization"] = "Bearer $token"
wrk.headers["Content-Type"] = "application/json"
local body = '{"title":"Disk almost full","description":"' .. string.rep("lorem ipsum ", 30) .. '","incident_metadata":{"host":"db-1"}}'
request = function() return wrk.format("POST", "/api/v1/teams/$team/incidents", nil, body) end
LUA
# One id is as good as another for PostgreSQL.
first=$(head -n 1 "$work/ids")
echo "SELECT $columns FROM incidents WHERE org_id = '$org' AND id = '$first' AND deleted_at IS NULL LIMIT 1;" >"$work/read.sql"
echo "SELECT $columns FROM incidents WHERE org_id = '$org' AND deleted_at IS NULL AND team_id = '$team' ORDER BY created_at DESC, id DESC LIMIT 51;" >"$work/list.sql"
echo "INSERT INTO incidents (org_id, id, team_id, title, description, incident_metadata) VALUES ('$org', gen_random_uuid(), '$team', 'Disk almost full', repeat('lorem ipsum ', 30), '{\"host\": \"db-1\"}') RETURNING $columns;" >"$work/create.sql"

of_http() { wrk -t 2 -c "$connections" -d "${seconds}s" -s "$work/$1.lua" "http://127.0.0.1:$http" | tee "$work/wrk.log" | awk '/Requests\/sec/ { print $2 } /Non-2xx/ { print "failed: " $0 > "/dev/stderr" }'; }
of_pgbench() { "$pg_bin/pgbench" -n -M prepared -f "$work/$1.sql" -c "$connections" -j 2 -T "$seconds" -h 127.0.0.1 -p "$port" -U postgres bench 2>/dev/null | awk '/^tps/ { print $3 }'; }
# What was created is taken away again: an index that grows makes two runs of one thing differ.
clean() { psql -c "DELETE FROM incidents WHERE org_id = '$org' AND title = 'Disk almost full'; DELETE FROM audit_log; DELETE FROM outbox" -c 'VACUUM ANALYZE incidents' -c 'VACUUM audit_log' -c 'VACUUM outbox' -c CHECKPOINT; }
walls() { psql -c "DO \$\$ DECLARE t record; BEGIN FOR t IN SELECT DISTINCT polrelid::regclass AS t FROM pg_policy LOOP
  EXECUTE format('ALTER TABLE %s $1 ROW LEVEL SECURITY', t.t); END LOOP; END \$\$"; }
median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

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
