"""The progress of a pull as lines: a pipe is not flooded, what is no progress goes to standard error."""

import json
from typing import Any

import msgspec
import pytest

from gollamas.cli.pull_lines import JsonLines, PlainLines, PullLine
from gollamas.cli.wanted import Named

LAYER = {"status": "pulling abc", "digest": "sha256:abc"}


def heard(*said: dict[str, Any], named: Named = Named("smol", None)) -> None:  # noqa: B008 - a constant
    with PlainLines(named) as shown:
        for one in said:
            line = json.dumps(one).encode()
            shown.hear(line, msgspec.json.decode(line, type=PullLine))
        shown.succeed()


def test_a_layer_is_told_of_each_ten_percent(capsys: pytest.CaptureFixture[str]) -> None:
    heard(*({**LAYER, "total": 1_000_000, "completed": 1000 * done} for done in range(1001)))
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"smol: pulling abc: {percent}% of 1 MB" for percent in range(0, 101, 10)]
    assert err == ""


def test_a_layer_that_is_there_already_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    heard({**LAYER, "total": 500, "completed": 500}, named=Named("smol", "gpu-1"))
    assert capsys.readouterr().out == "smol@gpu-1: pulling abc: 100% of 500 B\n"


def test_a_total_that_grows_says_nothing_twice_and_none_says_no_share(
    capsys: pytest.CaptureFixture[str],
) -> None:
    heard(
        LAYER,
        {**LAYER, "total": 100, "completed": 50},
        {**LAYER, "total": 200, "completed": 60},
        {**LAYER, "total": 200, "completed": 120},
        {**LAYER, "total": 200, "completed": 900},
    )
    assert capsys.readouterr().out.splitlines() == [
        "smol: pulling abc",
        "smol: pulling abc: 50% of 100 B",
        "smol: pulling abc: 60% of 200 B",
        "smol: pulling abc: 100% of 200 B",
    ]


def test_a_step_is_a_line_and_a_note_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [
        "pulling manifest",
        "verifying sha256 digest",
        "writing manifest",
        "removing unused layers",
        "success",
    ]
    notes = ["pc-2 is down: the model will be pulled there when it is back", "'smol' is on pc-1, but \x1b[2J"]
    heard(*({"status": text} for text in (*steps[:-1], *notes, steps[-1])))
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"smol: {text}" for text in steps]
    assert err.splitlines() == [
        f"gollamas: warning: smol: {notes[0]}",
        r"gollamas: warning: smol: 'smol' is on pc-1, but \x1b[2J",
    ]


def test_json_is_what_came(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with JsonLines(Named("smol", None)) as shown:
        shown.hear(b'{"status":"success", "later":1}', PullLine(status="success"))
        shown.succeed()
    assert capfdbinary.readouterr().out == b'{"status":"success", "later":1}\n'
