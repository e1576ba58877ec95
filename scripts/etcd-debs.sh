#!/usr/bin/env bash
# Install etcd and openssl, which the tests of groups of brokers and `make cluster` run, if
# some are missing and we may (root, apt). Otherwise say what is missing. etcd's own service
# is neither started now nor at the next boot.
set -euo pipefail

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=()
command -v etcd >/dev/null || missing+=(etcd-server)
command -v etcdctl >/dev/null || missing+=(etcd-client)
command -v openssl >/dev/null || missing+=(openssl)
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing for groups of brokers, and not ours to install: ${missing[*]}" >&2
    exit 0
fi
echo "==> Debian packages for groups of brokers: ${missing[*]}"
apt-get update

# Debian's packages start their services unless this program forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
if command -v systemctl >/dev/null; then
    systemctl disable --quiet etcd || true
fi
