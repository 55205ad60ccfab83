#!/usr/bin/env bash
# The program that plans, submits the worker jobs and waits for them, as a batch job of its own.
#
#   goldilocks-batch config example sbatch-client > sbatch-client.sh
#   sbatch --partition=… sbatch-client.sh manifest.parquet --config slurm.yaml --output screening
#   sbatch --partition=… sbatch-client.sh converge next.parquet --config converge-qe.yaml --output studies
#
# All arguments go to `goldilocks-batch run`, or to `converge` if that is the first. It needs one core and
# little memory, and a walltime longer than the whole run's; ended early, it takes its worker jobs along, and the
# same line goes on where it stopped. Half a minute before its end it is told to stop in order.
#SBATCH --job-name=goldilocks-client
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=1-00:00:00
#SBATCH --signal=B:TERM@30
#SBATCH --output=goldilocks-client-%j.log
umask 027
# the worker jobs are jobs of their own: they must not take this job's resources for theirs
for name in ${!SLURM_@} ${!SBATCH_@}; do
    [[ $name == SLURM_CONF ]] || unset "$name"
done
command=run
if [[ ${1:-} == converge ]]; then
    command=converge
    shift
fi
exec "${GOLDILOCKS_PYTHON:-python}" -m goldilocks_batch.cli.app "$command" "$@"
