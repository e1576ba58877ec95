#!/usr/bin/env bash
# Install Slurm, which the test of `--slurm` runs, if some of it is missing and we may (root,
# apt). Otherwise say what is missing. Its services are neither started now nor at the next
# boot.
set -euo pipefail
. "$(dirname "$0")/debs.sh"

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=()
command -v slurmctld >/dev/null || missing+=(slurmctld)
command -v slurmd >/dev/null || missing+=(slurmd)
command -v sbatch >/dev/null || missing+=(slurm-client)
command -v munged >/dev/null || missing+=(munge)
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi
if ! may_install; then
    echo "missing for sweeps through Slurm, and not ours to install: ${missing[*]}" >&2
    exit 0
fi
install_debs "for sweeps through Slurm" "${missing[@]}"
disable_units slurmctld slurmd munge
