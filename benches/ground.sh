# Sourced by the benches: a private PostgreSQL, our server on it, and
# an organization with ten thousand incidents of about a kilobyte beside fifty others.
#
# Sets $work, $org, $team, $token, $columns (of incidents) and the functions below. Needs wrk, and
# PostgreSQL's programs (PG_BIN). CARGO_TARGET_DIR is honoured; server_program names another server.
connections=16
# PROFILE builds by another profile, to try a bench out: figures are of releases.
profile=${PROFILE:-release}
built=${CARGO_TARGET_DIR:-target}/$profile
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

# The same three as benches/backup.sh, so that neither builds anew what the other has built.
cargo build --locked --profile "$profile" --quiet -p brownie-server -p brownie-migrator -p brownie-backup-worker
mkdir "$work/pg" && { [ "$(id -u)" != 0 ] || chown -R postgres "$work"; }
port=$(free_port) http=$(free_port)
as_postgres "$pg_bin/initdb" -U postgres -A trust -E UTF8 --locale=C -D "$work/data" >/dev/null
as_postgres "$pg_bin/pg_ctl" -D "$work/data" -l "$work/pg/log" -w start \
  -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work/pg -c shared_buffers=256MB" </dev/null >/dev/null
psql() { "$pg_bin/psql" -X -q -A -t -h 127.0.0.1 -p "$port" -U postgres -d bench -v ON_ERROR_STOP=1 "$@"; }
"$pg_bin/createdb" -h 127.0.0.1 -p "$port" -U postgres bench
DATABASE_URL="postgres://postgres@127.0.0.1:$port/bench?sslmode=disable" "$built/brownie-migrator" up >/dev/null

start_server() {
  DATABASE_URL="postgres://brownie-server@127.0.0.1:$port/bench?sslmode=disable" DB_POOL_SIZE=$connections \
    DB_ALLOW_UNWALLED_ROLE=true METADATA_PORT=$http METRICS_PORT="${metrics_port:-0}" LOG_LEVEL="${LOG_LEVEL:-error}" \
    METADATA_RATE_LIMIT=0 METADATA_RATE_LIMIT_ADDRESS=0 \
    METADATA_JWT_SECRET=0123456789012345678901234567890123456789 METADATA_SIGNUP=open METRICS_PUBLIC=true \
    "${server_program:-$built/brownie-server}" </dev/null >"$work/server.log" 2>&1 &
  server=$!
  until curl -fs "http://127.0.0.1:$http/readyz" >/dev/null; do sleep 0.1; done
}
stop_server() { kill "$server"; wait "$server" 2>/dev/null || true; server=; }
json() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

start_server
token=$(curl -fs "http://127.0.0.1:$http/api/v1/auth/signup" -H 'Content-Type: application/json' -d \
  '{"email":"a@b.example","password":"correct horse","username":"ada","organization_name":"Acme","team_name":"SRE"}' | json access_token)
stop_server
read -r org team < <(psql -F ' ' -c 'SELECT org_id, id FROM teams')
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
# What the service reads of a row: all columns that it has but the index of words.
columns=$(psql -c "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
  WHERE attrelid = 'incidents'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'search'")
# One id is as good as another for PostgreSQL.
first=$(head -n 1 "$work/ids")

cat >"$work/none.lua" <<LUA
wrk.headers["Authorization"] = "Bearer $token"
request = function() return wrk.format("GET", "/api/v1/authz/explain?action=incidents.read") end
LUA
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
# Each thread changes incidents of its own, at the version that it left them at.
cat >"$work/update.lua" <<LUA
local threads = 0
function setup(thread) thread:set("number", threads); threads = threads + 1 end
function init()
  ids, versions, n = {}, {}, 0
  for id in io.lines("$work/ids") do ids[#ids + 1] = id end
  wrk.headers["Authorization"] = "Bearer $token"
  wrk.headers["Content-Type"] = "application/json"
end
function request()
  n = n + 1
  local which = (n * 2 + number) % #ids + 1
  versions[which] = (versions[which] or 0) + 1
  wrk.headers["If-Match"] = versions[which]
  return wrk.format("PATCH", "/api/v1/incidents/" .. ids[which], nil, '{"priority":"' .. (versions[which] % 2 == 0 and "low" or "high") .. '"}')
end
LUA
cat >"$work/resolve.lua" <<LUA
wrk.headers["Authorization"] = "Bearer $token"
request = function() return wrk.format("GET", "/api/v1/configs/resolve?team=$team&name=cpu-high&severity=high") end
LUA
echo "SELECT $columns FROM incidents WHERE org_id = '$org' AND id = '$first' AND deleted_at IS NULL LIMIT 1;" >"$work/read.sql"
echo "SELECT $columns FROM incidents WHERE org_id = '$org' AND deleted_at IS NULL AND team_id = '$team' ORDER BY created_at DESC, id DESC LIMIT 51;" >"$work/list.sql"
echo "INSERT INTO incidents (org_id, id, team_id, title, description, incident_metadata) VALUES ('$org', gen_random_uuid(), '$team', 'Disk almost full', repeat('lorem ipsum ', 30), '{\"host\": \"db-1\"}') RETURNING $columns;" >"$work/create.sql"
{ echo "\\set n random(1, 10000)"
  echo "UPDATE incidents SET priority = 'low', version = version + 1, updated_at = now() WHERE org_id = '$org' AND id = (SELECT id FROM bench_ids WHERE n = :n) AND deleted_at IS NULL RETURNING $columns;"; } >"$work/update.sql"
echo "SELECT * FROM configs WHERE org_id = '$org' AND deleted_at IS NULL AND is_active;" >"$work/resolve.sql"
psql -c "CREATE TABLE bench_ids AS SELECT row_number() OVER () AS n, id FROM incidents WHERE org_id = '$org'" \
  -c 'ALTER TABLE bench_ids ADD PRIMARY KEY (n)' -c "ANALYZE bench_ids"

# An update begins with every incident at version 1: `clean` comes before the next.
of_http() { # what, connections
  wrk -t 2 -c "${2:-$connections}" -d "${seconds}s" --latency -s "$work/$1.lua" "http://127.0.0.1:$http" >"$work/wrk.log"
  # A refusal costs something else than what is measured.
  if grep -q Non-2xx "$work/wrk.log"; then echo "$1 was refused: $(grep Non-2xx "$work/wrk.log")" >&2; return 1; fi
  awk '/Requests\/sec/ { print $2 }' "$work/wrk.log"
}
p99() { awk '$1 == "99%" { print $2 }' "$work/wrk.log"; }
of_pgbench() { "$pg_bin/pgbench" -n -M prepared -f "$work/$1.sql" -c "$connections" -j 2 -T "$seconds" -h 127.0.0.1 -p "$port" -U postgres bench 2>/dev/null | awk '/^tps/ { print $3 }'; }
# What was created is taken away again: an index that grows makes two runs of one thing differ.
clean() {
  psql -c "DELETE FROM incidents WHERE org_id = '$org' AND title = 'Disk almost full'; DELETE FROM audit_log; DELETE FROM outbox" \
    -c "UPDATE incidents SET version = 1 WHERE org_id = '$org' AND version > 1" \
    -c 'VACUUM ANALYZE incidents' -c 'VACUUM audit_log' -c 'VACUUM outbox' -c CHECKPOINT
}
median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
