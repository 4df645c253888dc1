#!/usr/bin/env bash
# Three PostgreSQL nodes under Patroni, their etcd, and HAProxy before them, all on 127.0.0.1 and
# without TLS, for a test that kills the leader. install-failover.sh installs what this needs.
# DIR is a new or empty directory that the user postgres can reach.
#   patroni.sh start DIR        prints writer_port=N once the cluster is whole
#   patroni.sh kill-leader DIR  kills the leader's Patroni and PostgreSQL, prints its name at once
#   patroni.sh revive DIR       starts what was killed, returns once the cluster is whole
#   patroni.sh stop DIR         ends everything, also after a start that failed
# Kill only in a whole cluster: until Patroni has named a synchronous standby, nobody may take over.
# Revive after the takeover: a leader that is back within five seconds just goes on leading.
set -euo pipefail

die() { echo "patroni.sh: $*" >&2; exit 1; }
dir=$(realpath -m "${2:?usage: patroni.sh start|kill-leader|revive|stop DIR}")
bin=/usr/lib/postgresql/15/bin

# PostgreSQL refuses to be root. Unlike runuser, setpriv leaves no process between.
as_owner=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME="$dir")
[ "$(id -u)" != 0 ] ||
  as_owner=(setpriv --reuid=postgres --regid=postgres --init-groups "${as_owner[@]}")

read_ports() {
  read -r writer etcd peer 'pg[1]' 'pg[2]' 'pg[3]' 'rest[1]' 'rest[2]' 'rest[3]' _ <"$dir/ports"
}

# Each in a session of its own: a Ctrl-C for the test is not for them, and `family` goes by it.
daemon() { # name, command: writes DIR/name.log and DIR/name.pid
  local name=$1; shift
  setsid "${as_owner[@]}" "$@" </dev/null >>"$dir/$name.log" 2>&1 &
  echo $! >"$dir/$name.pid"
}

# Prints the process that a file names if it runs and is ours: numbers are used again, a zombie has
# no command line, and PostgreSQL's single-user mode notes a negative number.
alive() {
  local pid
  { read -r pid <"$1"; } 2>/dev/null && [[ $pid =~ ^[0-9]+$ ]] &&
    grep -qaF "$dir/" "/proc/$pid/cmdline" 2>/dev/null && echo "$pid"
}

# Prints such a process and those it started, having halted it, so that it starts no more of them.
family() { # how pgrep finds them, file
  local pid
  pid=$(alive "$2") && kill -STOP "$pid" 2>/dev/null || return 0
  echo "$pid"
  pgrep "$1" "$pid" || true
}

kill_family() { # name
  local pids
  mapfile -t pids < <(family -s "$dir/$1.pid"; family -P "$dir/$1/postmaster.pid")
  [ ${#pids[@]} = 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || true
}

node_that_is() { # leader or synchronous, as Patroni's REST API has it
  for i in 1 2 3; do
    curl -sf --noproxy '*' -m 1 -o /dev/null "http://127.0.0.1:${rest[i]}/$1" && echo n$i && return
  done
}

# Patroni makes a standby synchronous first and names it in etcd a little later: both must be so.
wait_until_whole() { # seconds
  local standby deadline=$((SECONDS + $1))
  until standby=$(node_that_is synchronous) &&
    [ t = "$(timeout 3 "${as_owner[@]}" "$bin/psql" -qXAtc "
      SELECT NOT pg_is_in_recovery() AND count(*) = 2
         AND count(*) FILTER (WHERE sync_state = 'sync' AND application_name = '$standby') = 1
      FROM pg_stat_replication WHERE state = 'streaming'" \
      "host=127.0.0.1 port=$writer user=postgres" 2>>"$dir/psql.log")" ]; do
    [ $SECONDS -lt $deadline ] || die "not whole after $1 s: see $dir/*.log"
    sleep 0.1
  done
}

configure_haproxy() {
  cat <<END
listen writer
    bind 127.0.0.1:$writer
    mode tcp
    retries 0
    timeout connect 1s
    timeout check 1s
    timeout client 30m
    timeout server 30m
    option httpchk OPTIONS /primary
    default-server check inter 250ms fall 2 rise 1 on-marked-down shutdown-sessions
    server n1 127.0.0.1:${pg[1]} port ${rest[1]}
    server n2 127.0.0.1:${pg[2]} port ${rest[2]}
    server n3 127.0.0.1:${pg[3]} port ${rest[3]}
END
}

# Shared memory in files of the data directory is removed with it.
configure_node() { # number
  cat <<END
scope: failover
name: n$1
restapi: {listen: "127.0.0.1:${rest[$1]}", connect_address: "127.0.0.1:${rest[$1]}"}
etcd3: {hosts: ["127.0.0.1:$etcd"]}
watchdog: {mode: "off"}
bootstrap:
  dcs: {ttl: 5, loop_wait: 1, retry_timeout: 3, synchronous_mode: true, postgresql:
    {use_pg_rewind: true, parameters: {max_connections: 100, wal_retrieve_retry_interval: 100ms}}}
  initdb: [encoding: UTF8, locale: C, data-checksums]
postgresql:
  listen: "127.0.0.1:${pg[$1]}"
  connect_address: "127.0.0.1:${pg[$1]}"
  data_dir: "$dir/n$1"
  bin_dir: $bin
  pgpass: "$dir/n$1.pgpass"
  pg_hba: [host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
  authentication: {superuser: {username: postgres}, replication: {username: replicator}}
  parameters: {unix_socket_directories: "", dynamic_shared_memory_type: mmap, shared_buffers: 32MB}
END
}

case $1 in
  start)
    for program in patroni etcd /usr/sbin/haproxy $bin/postgres; do
      command -v $program >/dev/null || die "no $program: run tests/parts/install-failover.sh"
    done
    umask 022
    mkdir -p "$dir"
    cd "$dir"
    [ -z "$(ls -A)" ] || die "$dir is not empty"
    [ "$(id -u)" != 0 ] || chown postgres: .
    "${as_owner[@]}" test -w "$dir" || die "the user postgres cannot reach $dir"
    # Below the range of outgoing connections: one could take the port of a node that is down.
    for port in $(shuf -i 10000-32767 -n 30); do
      (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || echo "$port"
    done | paste -sd ' ' >ports
    read_ports
    configure_haproxy >haproxy.cfg
    # Nobody kills etcd, and one that waits for a busy disk would look like a leader's death.
    daemon etcd etcd --name etcd --data-dir "$dir/etcd" --unsafe-no-fsync \
      --{listen,advertise}-client-urls="http://127.0.0.1:$etcd" \
      --{listen,initial-advertise}-peer-urls="http://127.0.0.1:$peer" \
      --initial-cluster="etcd=http://127.0.0.1:$peer"
    for i in 1 2 3; do
      configure_node $i >n$i.yml
      daemon n$i patroni "$dir/n$i.yml"
    done
    daemon haproxy haproxy -db -n 500 -f "$dir/haproxy.cfg"
    wait_until_whole 120
    echo "writer_port=$writer"
    ;;
  kill-leader)
    read_ports
    leader=$(node_that_is leader) || die "there is no leader"
    kill_family "$leader"
    echo "killed $leader"
    ;;
  revive)
    cd "$dir"
    read_ports
    for i in 1 2 3; do
      # PostgreSQL would take a zombie that this names for a server.
      alive n$i/postmaster.pid >/dev/null || rm -f n$i/postmaster.pid
      alive n$i.pid >/dev/null || daemon n$i patroni "$dir/n$i.yml"
    done
    wait_until_whole 60
    ;;
  stop)
    # Twice, for a PostgreSQL so new the first time that it had not noted its number.
    for name in n1 n2 n3 haproxy etcd n1 n2 n3; do kill_family $name; sleep 0.1; done
    # A killed server leaves behind the System V shared memory that guards its data directory.
    for i in 1 2 3; do
      key=$(awk 'NR == 7 { print $1 }' "$dir/n$i/postmaster.pid" 2>/dev/null) || continue
      ipcrm -M "$key" 2>/dev/null || true
    done
    ;;
  *) die "no such command: $1" ;;
esac
