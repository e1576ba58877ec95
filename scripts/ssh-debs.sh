#!/usr/bin/env bash
# Install OpenSSH's client and server, which the tests of sweeps on several machines run, if
# some are missing and we may (root, apt). Otherwise say what is missing. Debian's own sshd is
# neither started now nor at the next boot.
set -euo pipefail
. "$(dirname "$0")/debs.sh"

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=()
command -v ssh >/dev/null || missing+=(openssh-client)
command -v sshd >/dev/null || missing+=(openssh-server)
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi
if ! may_install; then
    echo "missing for sweeps on several machines, and not ours to install: ${missing[*]}" >&2
    exit 0
fi
install_debs "for sweeps on several machines" "${missing[@]}"
case " ${missing[*]} " in *" openssh-server "*) disable_units ssh ;; esac
