#!/usr/bin/env bash
# Install etcd and openssl, which the tests of groups of brokers and `make cluster` run, if
# some are missing and we may (root, apt). Otherwise name the missing packages. etcd's own service
# is neither started now nor at the next boot.
set -euo pipefail
. "$(dirname "$0")/debs.sh"

install_missing "for groups of brokers" etcd:etcd-server:etcd etcdctl:etcd-client openssl:openssl
