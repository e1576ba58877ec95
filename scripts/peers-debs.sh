#!/usr/bin/env bash
# Get the brokers that make bench-peers compares with: the newest of Debian (unstable), unpacked with
# their libraries into .tools/peers, beside this system's own. Nothing is installed, no service is
# started, and no root is needed. Where that is not possible, install those of this Debian if some are
# missing and we may. Otherwise do nothing: the comparison names missing packages, and leaves
# them out.
#
#     scripts/peers-debs.sh              # once; remove .tools/peers to get newer ones
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/debs.sh

programs=(mosquitto redis-server nats-server)
place=$PWD/.tools/peers
suite=sid

unpack_newest() {
    local work=$place.part keys=/usr/share/keyrings/debian-archive-keyring.gpg options package loader
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && [ -e "$keys" ] || return 1
    rm -rf "$work"
    mkdir -p "$work"/{lists,cache/archives}/partial "$work"/{root,bin}
    echo "deb [signed-by=$keys] http://deb.debian.org/debian $suite main" >"$work/sources.list"
    # Settings of its own: this system's packages and lists stay as they are.
    options=(
        -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache"
        -o Dir::State::status=/dev/null -o APT::Install-Recommends=0
        -o Debug::NoLocking=1 -o APT::Sandbox::User=root
    )
    apt-get "${options[@]}" -qq update || return 1
    apt-get "${options[@]}" -qq -y --download-only install \
        "${programs[@]}" systemd-standalone-sysusers >/dev/null || return 1
    for package in "$work"/cache/archives/*.deb; do
        dpkg-deb --extract "$package" "$work/root"
    done
    # They run with the libraries they were built for, which are newer than this system's.
    loader=$(find "$work/root" -name 'ld-linux-*.so.*' | head -1)
    [ -n "$loader" ] || return 1
    rm -rf "$work"/{lists,cache,sources.list} "$place"
    mv "$work" "$place"
    write_wrappers "${loader#"$work"}"
}

# write_wrappers LOADER: a program in .tools/peers/bin for each broker.
write_wrappers() {
    local name found libraries folders
    libraries=$(find "$place/root" -name 'lib*.so.*' -printf '%h\n' | sort -u | paste -sd:)
    # Some packages leave it to the system to link the names that programs ask for.
    IFS=: read -ra folders <<<"$libraries"
    PATH=$PATH:/sbin:/usr/sbin ldconfig -n "${folders[@]}"
    for name in "${programs[@]}"; do
        found=$(find "$place/root" -path "*bin/$name" | head -1)
        printf '#!/bin/sh\nexec "%s" --argv0 "%s" --library-path "%s" "%s" "$@"\n' \
            "$place$1" "$name" "$libraries" "$found" >"$place/bin/$name"
        chmod +x "$place/bin/$name"
    done
}

# From Debian's own repositories, for this Debian.
install_usual() {
    local PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin missing=() program
    for program in "${programs[@]}"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    if [ "${#missing[@]}" -eq 0 ] || ! may_install; then
        return 0
    fi
    install_debs "of the peers" "${missing[@]}"
    disable_units "${missing[@]}"
}

[ ! -x "$place/bin/nats-server" ] || exit 0
echo "==> the newest brokers of Debian, into .tools/peers (once)"
if ! unpack_newest; then
    rm -rf "$place.part"
    echo "not to be had here: the brokers of this system are used" >&2
    install_usual
fi
