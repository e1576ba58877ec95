#!/usr/bin/env bash
# Install Slurm, which the test of `--slurm` runs, if some of it is missing and we may (root,
# apt). Otherwise name the missing packages. Its services are neither started now nor at the next
# boot.
set -euo pipefail
. "$(dirname "$0")/debs.sh"

install_missing "for sweeps through Slurm" slurmctld:slurmctld:slurmctld slurmd:slurmd:slurmd \
    sbatch:slurm-client munged:munge:munge
