#!/usr/bin/env bash
# Install the brokers that make bench-peers compares with, if some are missing and we may
# (root, apt). Otherwise do nothing: the comparison names missing packages, and leaves them
# out. Their services are neither started now nor at the next boot.
set -euo pipefail
. "$(dirname "$0")/debs.sh"

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=()
for program in mosquitto redis-server nats-server; do
    command -v "$program" >/dev/null || missing+=("$program")
done
if [ "${#missing[@]}" -eq 0 ] || ! may_install; then
    exit 0
fi
install_debs "of the peers" "${missing[@]}"
disable_units "${missing[@]}"
