"""What the shell is told when a command ends other than it should."""

from __future__ import annotations

import pytest
import typer

from goldilocks_batch.cli.exits import Exit, guarded
from goldilocks_batch.core.errors import ConfigError, ErrorCode


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError(ErrorCode.CONFIG_INVALID, "no such option"), Exit.NOT_RUN),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (ZeroDivisionError("a fault of ours"), Exit.NOT_RUN),
        (typer.Exit(Exit.SOME_FAILED), Exit.SOME_FAILED),
    ],
)
def test_no_error_looks_like_failed_rows(
    error: BaseException, code: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    @guarded
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as left:
        command()
    assert left.value.exit_code == code
    told = capsys.readouterr().err
    assert ("Traceback" in told) == isinstance(error, ZeroDivisionError)
    assert ("please report it" in told) == isinstance(error, ZeroDivisionError)
