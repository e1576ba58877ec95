#!/usr/bin/env bash
# Print a Python that can make our virtual environments: version 3.11 to 3.13, with
# venv. Set PYTHON to choose one. As root on Debian or Ubuntu, a missing venv module is
# installed.
set -euo pipefail

suits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

found=""
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if command -v "$candidate" >/dev/null && suits "$candidate"; then
        found=$(command -v "$candidate")
        break
    fi
done
if [ -z "$found" ]; then
    echo "pubsub needs Python 3.11, 3.12 or 3.13; found ${PYTHON:-python3}:" \
        "$("${PYTHON:-python3}" --version 2>&1 || true)." \
        "Install one, or name it: make PYTHON=/path/to/python" >&2
    exit 1
fi

if ! "$found" -c 'import venv, ensurepip' 2>/dev/null; then
    package=$("$found" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "==> $package (for virtual environments)" >&2
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
            --no-install-recommends "$package"; } >&2
    else
        echo "$found lacks the venv module; on Debian or Ubuntu, as root:" \
            "apt-get install $package" >&2
        exit 1
    fi
fi
echo "$found"
