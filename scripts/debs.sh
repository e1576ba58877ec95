# To be sourced: installs Debian packages whose services are neither started now nor at the
# next boot.

# may_install: whether we may (root, apt).
may_install() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null
}

# install_debs WHAT PACKAGE...: install these, and say what they are for.
install_debs() {
    local what=$1 policy=/usr/sbin/policy-rc.d
    shift
    echo "==> Debian packages $what: $*"
    apt-get update
    # Debian's packages start their services unless this program forbids it.
    if [ ! -e "$policy" ]; then
        trap "rm -f $policy" EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# disable_units UNIT...: so that these do not start at the next boot.
disable_units() {
    if command -v systemctl >/dev/null; then
        systemctl disable --quiet "$@" || true
    fi
}
