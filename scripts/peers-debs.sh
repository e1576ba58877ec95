#!/usr/bin/env bash
# Install the brokers that make bench-peers compares with, if some are missing and we may
# (root, apt). Otherwise do nothing: the comparison says what is missing, and leaves it
# out. Their services are neither started now nor at the next boot.
set -euo pipefail

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=()
for program in mosquitto redis-server nats-server; do
    command -v "$program" >/dev/null || missing+=("$program")
done
if [ "${#missing[@]}" -eq 0 ] || [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    exit 0
fi
echo "==> Debian packages of the peers: ${missing[*]}"
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
    systemctl disable --quiet "${missing[@]}" || true
fi
