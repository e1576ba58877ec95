#!/usr/bin/env bash
# Install Debian's Chromium, which opens the report in tests, if there is none and we may
# (root, apt). Otherwise do nothing: the tests themselves name missing packages.
set -euo pipefail

for program in chromium chromium-browser google-chrome; do
    if command -v "$program" >/dev/null; then
        exit 0
    fi
done
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    exit 0
fi
echo "==> Chromium, for the tests of the report"
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium
