#!/usr/bin/env bash
# Install what the example in JavaScript needs from npm into .cache/javascript, if there is Node.
# Otherwise name the missing packages, and end with 1: its tests are then skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

missing() {
    echo "JavaScript: $1; its tests are skipped" >&2
    exit 1
}

oldest=20
command -v node >/dev/null || missing "there is no Node"
command -v npm >/dev/null || missing "there is no npm"
version=$(node -p 'process.versions.node')
[ "${version%%.*}" -ge $oldest ] || missing "Node $version is older than $oldest"

folder=.cache/javascript
mkdir -p $folder
# Several tests may come here at once.
exec 9>$folder/lock
flock 9
manifest=docs/examples/javascript/package.json
if ! cmp -s $manifest $folder/installed.json; then
    echo "==> zeromq and msgpack for JavaScript, into $folder" >&2
    cp $manifest $folder/package.json
    (cd $folder && npm install --no-audit --no-fund --no-package-lock --loglevel=error >&2) ||
        missing "npm cannot install its packages"
    cp $manifest $folder/installed.json
fi
