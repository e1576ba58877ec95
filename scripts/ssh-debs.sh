#!/usr/bin/env bash
# Install OpenSSH's client and server, which the tests of sweeps on several machines run, if
# some are missing and we may (root, apt). Otherwise name the missing packages. Debian's own sshd is
# neither started now nor at the next boot.
set -euo pipefail
. "$(dirname "$0")/debs.sh"

install_missing "for sweeps on several machines" ssh:openssh-client sshd:openssh-server:ssh
