#!/bin/bash
# One part of a list of exposures: masks and tracking probabilities.
#
#     sbatch --array=1-50 workflow/batch.sh exposures.list night    part of each task, in Slurm
#     workflow/batch.sh exposures.list night K N                    part K of N, anywhere
#
# Give the same command again after a failure: what is done is left alone.
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --time=4:00:00
#SBATCH --requeue
set -euo pipefail
list=$1 night=$2 part=${3:-$SLURM_ARRAY_TASK_ID} parts=${4:-$SLURM_ARRAY_TASK_COUNT}
work=$night/parts/$part
mkdir -p "$night/parts"
split --number="r/$part/$parts" "$list" > "$work.list"
[ -s "$work.list" ] || exit 0
status=0
maximask --skip_existing --threads "${SLURM_CPUS_PER_TASK:-1}" --log "$work.log" \
    --out_dir "$night/masks" "$work.list" || status=$?
maxitrack --skip_existing --threads "${SLURM_CPUS_PER_TASK:-1}" --log "$work.log" \
    --output "$work.out" "$work.list" || status=$?
exit $status
