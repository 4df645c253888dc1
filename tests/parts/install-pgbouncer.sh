#!/usr/bin/env bash
# Fetches the two PgBouncers that tests put before PostgreSQL, 1.18 of Debian 12, which rewrites no
# prepared statements, and 1.24 of Debian 13, which can, into /var/tmp/brownie-parts. Each is unpacked
# with the shared libraries and the C library it wants, and started by its own loader:
#
#   /var/tmp/brownie-parts/pgbouncer-1.24/run pgbouncer.ini
#
# Nothing is installed, no service starts, /etc/apt is read and not changed. Root is not needed, nor
# does PgBouncer run as root.
set -euo pipefail
cd "$(dirname "$0")/../.."
parts=$(realpath -m "${BROWNIE_PARTS:-/var/tmp/brownie-parts}")

packages() { # what it is for, then Debian's packages
  local what=$1; shift
  if [ "$(id -u)" != 0 ]; then
    echo "tests/parts/install-pgbouncer.sh: $what: apt-get install -y --no-install-recommends $*" >&2
    exit 1
  fi
  echo "installing $what: $*"
  [ -n "${apt_updated:-}" ] || apt-get update -qq
  apt_updated=yes
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The mirror that this machine's apt uses, or Debian's own.
debian_mirror() {
  local mirror
  mirror=$(grep -rhoE '^(deb |URIs:)[^#]*https?://[^ ]+/debian/?( |$)' \
    /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
    grep -oE 'https?://[^ ]+/debian/?' | head -n 1) || true
  echo "${mirror:-http://deb.debian.org/debian}"
}

# Unpacks PgBouncer and the packages of the libraries it loads, by an apt that knows one suite only.
pgbouncer() { # version, suite, packages
  local version=$1 suite=$2; shift 2
  local target=$parts/pgbouncer-$version work=$parts/pgbouncer-$version.download
  local keys=/usr/share/keyrings/debian-archive-keyring.gpg deb loader
  if [ -x "$target/run" ]; then return; fi
  [ -e "$keys" ] || packages "Debian's keys, to fetch PgBouncer" debian-archive-keyring
  echo "fetching PgBouncer $version: $suite's $*"
  rm -rf "$work" "$target"
  mkdir -p "$work"/{lists/partial,archives/partial,preferences,debs,root,ready/lib}
  echo "deb [signed-by=$keys targets=Packages] $(debian_mirror) $suite main" > "$work/sources.list"
  : > "$work/status"
  cat > "$work/apt.conf" <<END
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$work/preferences";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work";
Acquire::Languages "none";
APT::Sandbox::User "root";
END
  APT_CONFIG=$work/apt.conf apt-get update -qq
  (cd "$work/debs" && APT_CONFIG=$work/apt.conf apt-get download -qq "$@")
  for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; done

  # Of the packages, only the program, the libraries and their loader are kept.
  find "$work/root" -path '*-linux-gnu/*.so*' -not -path '*-linux-gnu/*/*' \
    -exec cp -a {} "$work/ready/lib/" \;
  cp "$work/root/usr/sbin/pgbouncer" "$work/ready/pgbouncer"
  loader=$(basename "$(find "$work/ready/lib" -name 'ld-linux*.so.*')")
  cat > "$work/ready/run" <<END
#!/bin/sh
# PgBouncer $version in the foreground, in this process; see tests/parts/install-pgbouncer.sh.
here=\$(dirname "\$(readlink -f "\$0")")
exec "\$here/lib/$loader" --inhibit-cache --library-path "\$here/lib" --argv0 pgbouncer \\
  "\$here/pgbouncer" "\$@"
END
  # PgBouncer refuses to be root, so whoever runs it must be able to read it.
  chmod -R a+rX,u+w "$work/ready"
  chmod a+rx "$parts" "$work/ready/run"
  if [[ $("$work/ready/run" --version) != "PgBouncer $version."* ]]; then
    echo "tests/parts/install-pgbouncer.sh: $suite's pgbouncer does not run, or is not $version" >&2
    exit 1
  fi
  mv "$work/ready" "$target"
  rm -rf "$work"
}

pgbouncer_118() {
  pgbouncer 1.18 bookworm pgbouncer libc6 libc-ares2 libevent-2.1-7 libpam0g libssl3 libsystemd0 \
    libaudit1 libcap-ng0 libcap2 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libzstd1
}

pgbouncer_124() {
  pgbouncer 1.24 trixie pgbouncer libc6 libcares2 libevent-2.1-7t64 libpam0g libssl3t64 libsystemd0 \
    libaudit1 libcap-ng0 libcap2 libzstd1 zlib1g
}

pgbouncer_118
pgbouncer_124
