#!/usr/bin/env bash
# Install etcd and openssl, which the tests of groups of brokers and `make cluster` run, if
# some are missing and we may (root, apt). Otherwise say what is missing. etcd's own service
# is neither started now nor at the next boot.
set -euo pipefail
. "$(dirname "$0")/debs.sh"

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=()
command -v etcd >/dev/null || missing+=(etcd-server)
command -v etcdctl >/dev/null || missing+=(etcd-client)
command -v openssl >/dev/null || missing+=(openssl)
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi
if ! may_install; then
    echo "missing for groups of brokers, and not ours to install: ${missing[*]}" >&2
    exit 0
fi
install_debs "for groups of brokers" "${missing[@]}"
disable_units etcd
