#!/usr/bin/env bash
# Install the Debian packages that Mininet needs, if some are missing and we may (root,
# apt). Otherwise do nothing: pubsub-perf itself names missing packages, and runs on
# local hosts.
set -euo pipefail

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
for program in mnexec brctl ip tc ifconfig sysctl ping unshare xargs; do
    if ! command -v "$program" >/dev/null; then
        if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
            exit 0
        fi
        echo "==> Debian packages for Mininet"
        apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
            mininet bridge-utils iproute2 procps iputils-ping net-tools util-linux findutils
        exit 0
    fi
done
