#!/usr/bin/env bash
# Installs, where it is missing, what patroni.sh beside this file needs, on Debian 12: its Patroni 3
# takes the short times that are set there, Patroni 4 would need 20 seconds for each failover.
# Without root it says what to install.
set -euo pipefail

missing=()
for package in patroni python3-etcd etcd-server haproxy postgresql-15 curl procps; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
    missing+=("$package")
done
[ ${#missing[@]} != 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "tests/parts/install-failover.sh: the failover test:" \
    "apt-get install -y --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

# The test wants only the programs: neither a cluster made by postgresql-common nor services.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
  echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' > $policy
  chmod 755 $policy
fi

echo "installing the failover test: ${missing[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  "${missing[@]}" >/dev/null

# Debian also enables them for the next boot, and starts them now where a policy of the machine's
# own allows that.
for service in etcd haproxy patroni; do
  [[ " ${missing[*]} " == *" ${service/etcd/etcd-server} "* ]] || continue
  [ ! -d /run/systemd/system ] || systemctl stop "$service"
  update-rc.d "$service" disable >/dev/null
done
