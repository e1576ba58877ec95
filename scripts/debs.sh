# To be sourced: installs Debian packages without starting their services, now or at the next
# boot.

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

# install_missing WHAT COMMAND:PACKAGE[:UNIT]...: install the packages of missing commands
# if we may, else print a message. Only units of newly installed packages are disabled: others are in
# use.
install_missing() {
    local what=$1 missing=() units=() each command package unit
    local PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    shift
    for each in "$@"; do
        IFS=: read -r command package unit <<<"$each"
        command -v "$command" >/dev/null && continue
        missing+=("$package")
        [ -z "$unit" ] || units+=("$unit")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    if ! may_install; then
        echo "missing $what, and not ours to install: ${missing[*]}" >&2
        return 0
    fi
    install_debs "$what" "${missing[@]}"
    [ "${#units[@]}" -eq 0 ] || disable_units "${units[@]}"
}
