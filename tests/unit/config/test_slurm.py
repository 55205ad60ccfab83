"""What may stand in a job script, and what a site can do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from goldilocks_batch.config.run import RunConfig, load_config
from goldilocks_batch.config.slurm import JobRequest, SlurmOptions, bytes_of, seconds_of
from goldilocks_batch.core.errors import ConfigError
from goldilocks_batch.execution.slurm.scripts import array_script, check_path, lifetime, prologue, run_name
from goldilocks_batch.execution.slurm.site import Partition, check_request, slurm
from goldilocks_batch.runs.array import array_request

ROOT = Path(__file__).resolve().parents[3]
MAIN = Partition("main", True, True, 3600, 4, 16, 64 * 10**9, 0)
GPU = Partition("gpu", False, True, None, 1, 8, 32 * 10**9, 2)
SHUT = Partition("shut", False, False, None, 1, 64, 10**12, 8)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("30:15", 1815),
        ("02:00:00", 7200),
        ("1-00", 86400),
        ("1-02:30", 95400),
        ("2-03:04:05", 183845),
    ],
)
def test_walltimes(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"), [("4GB", 4 * 10**9), ("512MiB", 2**29), ("1.5G", 15 * 10**8), ("2 TB", 2 * 10**12)]
)
def test_memory(text: str, count: int) -> None:
    assert bytes_of(text) == count


@pytest.mark.parametrize(
    "options",
    [
        {"partition": "main; rm -rf ~"},
        {"partition": "$(id)"},
        {"account": "a b"},
        {"qos": "x\ny"},
        {"walltime": "soon"},
        {"walltime": "00:00:59"},
        {"walltime": 3600},
        {"memory": "much"},
        {"directives": ["--wrap=`id`"]},
        {"directives": ["rm"]},
        {"directives": ["--comment=a\n#SBATCH --wrap=id"]},
        {"partion": "main"},
    ],
)
def test_nothing_that_a_shell_would_read_gets_in(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        load_config(None, slurm={"requests": options})


def test_a_misspelt_nested_option_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'slurm\.requests\.0\.partion': did you mean 'partition'"):
        load_config(None, slurm={"requests": {"partion": "main"}})


def test_one_request_needs_no_list() -> None:
    one = load_config(None, slurm={"requests": {"cores": 8, "gpus": 1}}).slurm
    assert one == load_config(None, slurm={"requests": [{"cores": 8, "gpus": 1}]}).slurm
    assert one.requests == (JobRequest(cores=8, gpus=1),)
    assert one.requests[0].seats == 8, "a process a core, whatever the GPUs"
    with pytest.raises(ConfigError, match=r"slurm\.requests"):
        load_config(None, slurm={"requests": []})


@pytest.mark.parametrize(
    ("old", "told"),
    [
        (
            {"cpu": {"cores": 16, "walltime": "04:00:00"}},
            "option 'slurm.cpu' is gone: write slurm.requests: [{cores: 16, walltime: '04:00:00'}]",
        ),
        (
            {"gpu": {"partition": "gpu", "gpus": 1}},
            "option 'slurm.gpu' is gone: write slurm.requests: [{partition: gpu, gpus: 1}]",
        ),
        ({"cpu": None}, "option 'slurm.cpu' is gone: leave it out"),
    ],
)
def test_the_two_kinds_of_jobs_that_once_were_are_told_what_to_write(
    old: dict[str, Any], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump({"slurm": old}, sort_keys=False), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert told in caught.value.message
    if "write" in told:
        written = re.search(r"write slurm\.(requests: \[.*\])", caught.value.message)
        assert written is not None
        path.write_text(yaml.safe_dump({"slurm": yaml.safe_load(written[1])}), encoding="utf-8")
        assert load_config(path).slurm.requests == (JobRequest(**next(iter(old.values()))),)


def test_environment_values_are_quoted(tmp_path: Path) -> None:
    config = load_config(None, output=tmp_path, slurm={"environment": {"A": "x'; rm -rf ~; '"}})
    assert """export A='x'"'"'; rm -rf ~; '"'"''""" in array_script(config, JobRequest(), 3)
    with pytest.raises(ConfigError):
        load_config(None, slurm={"environment": {"A B": "x"}})


@pytest.mark.parametrize("scratch", ["/scratch/$SLURM_JOB_ID", "$TMPDIR/x", "/local/$USER.$SLURM_JOB_ID"])
def test_scratch_may_depend_on_the_job(scratch: str, tmp_path: Path) -> None:
    config = load_config(None, output=tmp_path, slurm={"scratch": scratch})
    script = array_script(config, JobRequest(), 3)
    assert f'test -d "{scratch}"' in script
    assert f'export TMPDIR="{scratch}"' in script


@pytest.mark.parametrize(
    "scratch", ["/s/$HOMES", "$USERX/a", "/s/$(id)", "/s/`id`", "/s/${USER}", "$", "a b"]
)
def test_scratch_takes_no_other_variables(scratch: str) -> None:
    with pytest.raises(ConfigError, match=r"\$SLURM_JOB_ID, \$USER"):
        load_config(None, slurm={"scratch": scratch})


def test_no_job_without_a_share_of_the_work() -> None:
    config = RunConfig(jobs=20)
    kind = JobRequest(cores=4)
    assert config.jobs_of(kind) == (20, 20)
    assert config.jobs_of(kind, shards=9) == (3, 3)
    assert config.jobs_of(kind, shards=0) == (1, 1)
    assert config.jobs_of(JobRequest(jobs=2), shards=9) == (2, 2)
    assert RunConfig(jobs=2, max_jobs=20).jobs_of(kind, shards=30) == (2, 8)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"jobs": 3, "max_jobs": 2}, "max_jobs is 2, less than jobs, 3"),
        ({"max_jobs": 2, "slurm": {"requests": {"jobs": 4}}}, "max_jobs is 2, less than jobs, 4"),
        (
            {"max_jobs": 9, "slurm": {"requests": [{}, {"gpus": 1}]}},
            "adapts the number of one request's jobs",
        ),
        ({"device": "cuda", "gpu_processes": 2}, "with which every process uses a GPU"),
    ],
)
def test_numbers_of_jobs_that_contradict_each_other(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_config(None, **options)


CUDA = {"device": "cuda", "model": "alignn"}
GPUS: list[dict[str, Any]] = [
    {"gpus": 2},
    {"directives": ["--gres=gpu:a100:1"]},
    {"directives": ["--gpus-per-node=1"]},
    {"directives": ["--exclusive"]},
]


@pytest.mark.parametrize(
    ("requests", "complaint"),
    [
        ({}, "slurm.requests asks for none: write gpus: 1 there, or device: auto"),
        ({"directives": ["--constraint=big"]}, "slurm.requests asks for none"),
        ([{"gpus": 1}, {}, {"cores": 8}], r"slurm.requests \(of its items 2, 3\) asks for none"),
    ],
)
def test_jobs_without_gpus_are_refused_where_every_process_must_have_one(
    requests: Any, complaint: str
) -> None:
    options = {**CUDA, "slurm": {"requests": requests}}
    with pytest.raises(ConfigError, match=complaint):
        load_config(None, executor="slurm", **options)
    load_config(None, executor="slurm", **{**options, "device": "auto"})
    here = load_config(None, executor="local", **options)  # whose jobs are those of an array, if any
    with pytest.raises(ConfigError, match=complaint if isinstance(requests, dict) else "keep one"):
        array_request(here)


@pytest.mark.parametrize("request_", GPUS)
def test_jobs_that_get_gpus_in_any_way_are_taken(request_: dict[str, Any]) -> None:
    config = load_config(None, executor="slurm", slurm={"requests": request_}, **CUDA)
    assert array_request(config).has_gpus


def test_paths_with_blanks_stay_out_of_scripts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="becomes part of job scripts"):
        check_path(tmp_path / "my run; id")


def test_runs_in_different_folders_have_different_jobs(tmp_path: Path) -> None:
    assert run_name(tmp_path / "a") != run_name(tmp_path / "b")
    assert run_name(tmp_path / "a") == run_name(tmp_path / "a" / ".")


@pytest.mark.parametrize("inside", [True, False])
def test_jobs_inherit_nothing_of_the_job_that_submits_them(
    inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sbatch").write_text("#!/bin/sh\nenv\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("SLURM_CONF", "SLURM_MEM_PER_CPU", "SBATCH_PARTITION", "HOME_OF_USER"):
        monkeypatch.setenv(name, "x")
    if inside:
        monkeypatch.setenv("SLURM_JOB_ID", "7")
    told = dict(line.split("=", 1) for line in slurm("sbatch").splitlines())
    assert {"SLURM_CONF", "HOME_OF_USER"} <= told.keys()
    assert ("SLURM_MEM_PER_CPU" in told) == ("SBATCH_PARTITION" in told) == (not inside)
    assert "SLURM_JOB_ID" not in told


@pytest.mark.parametrize("walltime", [60, 120, 600, 3600, 86400, 7 * 86400])
def test_workers_leave_before_their_job_ends(walltime: int) -> None:
    age, stagger, gone = lifetime(walltime)
    assert stagger >= 0
    assert age - stagger >= walltime / 3
    assert age + stagger <= walltime - min(60, walltime // 3)
    assert age + stagger < gone < walltime


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (JobRequest(partition="nowhere"), "no partition 'nowhere' here; there are main, gpu, shut"),
        (JobRequest(walltime="02:00:00"), "above the limit of partition 'main', 60 minutes"),
        (JobRequest(cores=17), "17 cores asked for; a node of partition 'main' has 16"),
        (JobRequest(memory="65GB"), "65GB of memory asked for"),
        (JobRequest(gpus=1), "1 GPUs asked for; a node of partition 'main' has 0"),
        (JobRequest(partition="shut"), "takes no jobs now"),
    ],
)
def test_jobs_that_could_never_start_are_refused(kind: JobRequest, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        check_request(kind, [MAIN, GPU, SHUT])


def test_one_partition_of_several_is_enough() -> None:
    check_request(JobRequest(partition="main,gpu", gpus=2), [MAIN, GPU])
    check_request(JobRequest(), [MAIN])


@pytest.mark.parametrize("name", ["gpu.yaml", "slurm-cpu.yaml", "slurm-gpu.yaml", "local.yaml"])
def test_shipped_configurations_are_valid(name: str) -> None:
    assert isinstance(load_config(ROOT / "configs" / name), RunConfig)


@pytest.mark.parametrize("there", [True, False])
def test_scripts_look_for_the_scratch_folder(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "scratch"
    if there:
        folder.mkdir()
    script = "\n".join([*prologue(SlurmOptions(scratch=str(folder))), 'echo "in $TMPDIR"'])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    if there:
        assert (done.returncode, done.stdout) == (0, f"in {folder}\n")
    else:
        assert done.returncode == 1
        assert f"scratch folder {folder} is not there on" in done.stderr
