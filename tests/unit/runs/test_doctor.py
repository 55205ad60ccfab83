"""The configuration that is written for a site, by what its commands tell."""

from __future__ import annotations

import os
import pwd
import re
import shlex
from pathlib import Path

import pytest

from goldilocks_batch.config.run import RunConfig, load_config
from goldilocks_batch.runs.doctor import examine, site_configuration

#: Nodes of two kinds in the first partition, of a third kind in the second; one that takes no jobs.
SINFO = """\
thin*|up|2-00:00:00|100|128|512000|(null)
thin*|up|2-00:00:00|4|64|1024000+|(null)
fat-gpu|up|1:00:00|8|64|1024000|gpu:a100:4(S:0-1)
old|down|infinite|1|8|16000|(null)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with the commands of a SLURM that tells what the tests say."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    tells(folder, "sinfo", SINFO)
    tells(folder, "sacctmgr", "physics\nchem-2\nphysics\n")
    return folder


def tells(folder: Path, command: str, text: str) -> None:
    """Make the command print the text, and keep its arguments."""
    program = folder / command
    told = folder / f"{command}.asked"
    program.write_text(f'#!/bin/sh\necho "$@" > {told}\nprintf %s {shlex.quote(text)}\n')
    program.chmod(0o755)


def written(folder: Path) -> tuple[str, RunConfig]:
    """The configuration, and what it says once it is read."""
    text = site_configuration()
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return text, load_config(path)


@pytest.mark.usefixtures("site")
def test_partitions_and_accounts_come_into_the_configuration(tmp_path: Path) -> None:
    text, config = written(tmp_path)
    assert "#   thin (104 nodes of 128 cores, 1074 GB; 48 h)\n" in text
    assert "#   fat-gpu (8 nodes of 64 cores, 1074 GB, 4 GPUs; 1 h)\n" in text
    assert "old (" not in text
    assert re.findall("# Account of yours: (.*)", text) == ["chem-2", "physics"]
    (cpu,) = config.slurm.requests
    assert config.executor == "slurm"
    assert (cpu.partition, cpu.account, cpu.cores, cpu.memory) == ("thin", None, 16, "65536MiB")
    assert cpu.walltime == "04:00:00"
    # the GPU part, taken out of its comment
    (tmp_path / "gpu.yaml").write_text(re.sub("(?m)^  # ", "  ", text))
    first, gpu = load_config(tmp_path / "gpu.yaml").slurm.requests
    assert first == cpu
    assert (gpu.partition, gpu.cores, gpu.gpus, gpu.walltime) == ("fat-gpu", 16, 1, "01:00:00")


def test_accounts_are_found_without_variables_that_name_the_user(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert "# Account of yours: physics\n" in site_configuration()
    assert f"user={pwd.getpwuid(os.getuid()).pw_name} " in (site / "sacctmgr.asked").read_text()


@pytest.mark.usefixtures("site")
def test_a_user_that_nobody_knows_has_no_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", unknown)
    assert "Account" not in site_configuration()


@pytest.mark.parametrize(
    "name",
    [
        "evil\nexecutor: serial",
        "evil\rexecutor: serial",
        "a\x85executor: serial",
        "$(x)",
        "`x`",
        "\x07",
        "a b",
    ],
)
def test_hostile_accounts_stay_out(site: Path, tmp_path: Path, name: str) -> None:
    _, usual = written(tmp_path)
    tells(site, "sacctmgr", f"{name}\nphysics\n")
    text, config = written(tmp_path)
    assert config == usual
    accounts = re.findall("# Account of yours: (.*)", text)
    assert "physics" in accounts
    assert set(accounts) <= {"physics", "evil", "a"}
    assert not {"$", "`", "\x07"} & set(text)
    assert "serial" not in text


def test_hostile_partitions_stay_out(site: Path, tmp_path: Path) -> None:
    _, usual = written(tmp_path)
    tells(site, "sinfo", f'x"\\n$(y)|up|1:00:00|1|1|4000|(null)\n{SINFO}')
    text, config = written(tmp_path)
    assert config == usual
    assert "$" not in text


@pytest.mark.parametrize(
    ("scratch", "told"),
    [
        ("/scratch/$SLURM_JOB_ID", "depends on the job"),
        ("/proc/nowhere", "must be there on the nodes"),
        (None, "GB free"),
    ],
)
def test_scratch_is_looked_at_where_it_can_be(scratch: str | None, told: str, tmp_path: Path) -> None:
    options = {"executor": "slurm", "model": "baseline", "slurm": {"scratch": scratch}}
    config = RunConfig.model_validate({**options, "output": tmp_path})
    (found,) = (finding for finding in examine(config) if finding.subject == "scratch")
    assert told in found.text
    assert found.state != "problem"
