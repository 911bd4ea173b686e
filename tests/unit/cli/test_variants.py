"""`gollamas variants` lists variants, has the proxy prune them, or says why it can't."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gollamas.cli.main import main
from gollamas.observe.variants import Pruned, VariantFailure, VariantState, pruned_page, variants_page
from tests.unit.cli.servers import Answers, serving
from tests.variants import COPY, LEFT_OVER, NEEDED

IN_USE = msgspec.structs.replace(COPY, is_needed=True)
GONE = msgspec.structs.replace(LEFT_OVER, server="gpu-2", model=None, size=None, name="gollamas/x-2:ctx512")
WHY = "connection refused"
PAGES = {
    "/variants": variants_page([NEEDED, LEFT_OVER, GONE]),
    "/variants/prune": pruned_page(
        Pruned(removed=[LEFT_OVER], failed=[VariantFailure(variant=GONE, why=WHY)])
    ),
}
LIST: list[str] = []
PRUNE = ["--prune"]


def answers(**pages: bytes) -> Answers:
    """Answer 200 with these pages: `variants`, `prune`."""
    return {f"/variants{'' if name == 'variants' else '/prune'}": (200, page) for name, page in pages.items()}


def told(variants: list[VariantState], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Print a list of variants; the lines."""
    with serving(answers(variants=variants_page(variants))) as server:
        assert main(["variants", f"--admin=127.0.0.1:{server.port}"]) == 0
    said = capsys.readouterr()
    assert (said.err, "\x1b" in said.out) == ("", False)
    return said.out.splitlines()


def test_variants_are_listed_with_what_they_are_of_and_whether_a_policy_needs_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told([NEEDED, LEFT_OVER, GONE], capsys) == [
        "3 variants, 2 needed by no policy: gollamas variants --prune",
        "",
        "VARIANTS",
        "MODEL            SERVER  NUM_CTX  SIZE    CONTENTS  NAME                          NEEDED",
        "llama3.2:latest  gpu-1   4096     2.0 GB  current   gollamas/llama3.2-1a:ctx4096  yes",
        "llama3.2:latest  gpu-1   512      2.0 GB  older     gollamas/llama3.2-1b:ctx512   no",
        "-                gpu-2   512      -       gone      gollamas/x-2:ctx512           no",
    ]


@pytest.mark.parametrize(
    ("variants", "heading"),
    [
        ([], "no server has a variant of a model"),
        ([NEEDED], "1 variant, needed by a policy"),
        ([NEEDED, NEEDED], "2 variants, each needed by a policy"),
        ([GONE], "1 variant, 1 needed by no policy: gollamas variants --prune"),
        ([COPY], "1 hidden copy, 1 needed by no policy or pull: gollamas variants --prune"),
        ([IN_USE], "1 hidden copy, needed by a policy or pull"),
        ([NEEDED, IN_USE, IN_USE], "1 variant and 2 hidden copies, each needed by a policy or pull"),
        (
            [NEEDED, LEFT_OVER, COPY],
            "2 variants and 1 hidden copy, 2 needed by no policy or pull: gollamas variants --prune",
        ),
    ],
)
def test_the_first_line_says_whether_there_is_something_to_prune(
    variants: list[VariantState], heading: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = told(variants, capsys)
    assert lines[0] == heading
    assert bool(lines[1:]) == bool(variants)


def test_a_hidden_copy_that_a_pull_left_is_listed_without_a_context_and_one_in_use_as_needed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told([NEEDED, COPY, IN_USE], capsys)[3:] == [
        "MODEL            SERVER  NUM_CTX  SIZE    CONTENTS  NAME                          NEEDED",
        "llama3.2:latest  gpu-1   4096     2.0 GB  current   gollamas/llama3.2-1a:ctx4096  yes",
        "llama3.2:latest  gpu-1   -        2.0 GB  current   gollamas/llama3.2-1c:old      no",
        "llama3.2:latest  gpu-1   -        2.0 GB  current   gollamas/llama3.2-1c:old      yes",
    ]


def test_a_name_on_a_server_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = msgspec.structs.replace(NEEDED, name="\x1b[31mgollamas/\u202e", model="\x9b2J")
    assert r"\x1b[31mgollamas/\u202e" in told([hostile], capsys)[-1]


def pruned(capsys: pytest.CaptureFixture[str], **said: Any) -> tuple[int, list[str]]:
    """Have it pruned; the exit code, and the lines."""
    with serving(answers(prune=pruned_page(Pruned(**said)))) as server:
        code = main(["variants", "--prune", f"--admin=127.0.0.1:{server.port}"])
        assert server.asked == ["POST /variants/prune"]
    out, error = capsys.readouterr()
    assert error == ""
    return code, out.splitlines()


def test_a_prune_says_what_was_removed(capsys: pytest.CaptureFixture[str]) -> None:
    assert pruned(capsys, removed=[LEFT_OVER, GONE], failed=[]) == (
        0,
        [
            "2 variants removed",
            "",
            "REMOVED",
            "MODEL            SERVER  NUM_CTX  SIZE    CONTENTS  NAME",
            "llama3.2:latest  gpu-1   512      2.0 GB  older     gollamas/llama3.2-1b:ctx512",
            "-                gpu-2   512      -       gone      gollamas/x-2:ctx512",
        ],
    )


def test_a_prune_counts_hidden_copies_apart(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = pruned(capsys, removed=[COPY], failed=[VariantFailure(variant=COPY, why=WHY)])
    assert (code, lines[0]) == (1, "1 hidden copy removed, 1 could not be removed")
    code, lines = pruned(capsys, removed=[LEFT_OVER, COPY], failed=[])
    assert (code, lines[0]) == (0, "1 variant and 1 hidden copy removed")


def test_a_prune_that_fails_in_part_says_what_and_why_and_exits_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failure = VariantFailure(variant=GONE, why=WHY)
    assert pruned(capsys, removed=[LEFT_OVER], failed=[failure]) == (
        1,
        [
            "1 variant removed, 1 could not be removed",
            "",
            "REMOVED",
            "MODEL            SERVER  NUM_CTX  SIZE    CONTENTS  NAME",
            "llama3.2:latest  gpu-1   512      2.0 GB  older     gollamas/llama3.2-1b:ctx512",
            "",
            "FAILED",
            "MODEL  SERVER  NUM_CTX  SIZE  CONTENTS  NAME                 WHY",
            "-      gpu-2   512      -     gone      gollamas/x-2:ctx512  connection refused",
        ],
    )
    code, lines = pruned(capsys, removed=[], failed=[failure, failure])
    assert (code, lines[:3]) == (1, ["0 variants removed, 2 could not be removed", "", "FAILED"])


def test_a_prune_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    line = "nothing to remove: there is no variant that no policy needs"
    assert pruned(capsys, removed=[], failed=[]) == (0, [line])


@pytest.mark.parametrize("flags", [LIST, PRUNE, ["--prune=false"]])
def test_json_is_printed_as_it_came(flags: list[str], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The exit code still tells of what failed."""
    path = "/variants/prune" if flags == PRUNE else "/variants"
    page = PAGES[path].replace(b"{", b'{ "later": 1.50, ', 1)
    with serving({path: (200, page)}) as server:
        assert main(["variants", "--json", *flags, f"--admin=127.0.0.1:{server.port}"]) == int(flags == PRUNE)
    assert capfdbinary.readouterr().out == page


def test_the_address_is_found_as_serve_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(answers(variants=PAGES["/variants"])) as server:
        path = tmp_path / "g.yaml"
        path.write_text(f"admin: 127.0.0.1:{server.port}\n", encoding="utf-8")
        assert main(["variants", "--config", str(path)]) == 0
        assert main(["--config", str(path), "variants"]) == 0
        monkeypatch.setenv("GOLLAMAS_PROXIES", "a=nonsense")
        monkeypatch.setenv("GOLLAMAS_ADMIN", f"127.0.0.1:{server.port}")
        assert main(["variants"]) == 0
    assert capsys.readouterr().err == ""


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err.strip()


@pytest.mark.parametrize(("flags", "path"), [(LIST, "/variants"), (PRUNE, "/variants/prune")])
def test_nobody_there_exits_1(flags: list[str], path: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert main(["variants", *flags, "--admin", f"127.0.0.1:{port}"]) == 1
    assert one_line(capsys) == (
        f"gollamas: nobody answers at http://127.0.0.1:{port}{path}: Connection refused"
    )


@pytest.mark.parametrize("flags", [LIST, PRUNE])
def test_with_administration_off_it_exits_1(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["variants", *flags, "--admin=off"]) == 1
    assert "administration is off here (--admin off): variants asks the admin port" in one_line(capsys)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, b'{"error":"no such page here"}', "is not gollamas, or an older one: status 404"),
        (405, b"", "status 405"),
        (403, b"", "status 403"),
        (403, b"<html>", "status 403"),
        (403, b'{"error":{}}', "status 403"),
        (403, b"[" * 100_000, "status 403"),
        (500, b"", "status 500"),
        (200, b"Ollama is running", "is not gollamas"),
        (200, b"", "is not gollamas"),
        (200, b'{"models":[]}', "is not gollamas"),
        (200, PAGES["/variants"][:50], "is not gollamas"),
        (200, PAGES["/variants"].replace(b"512", b'"512"'), "is not gollamas"),
        (200, b"[" * 100_000, "is not gollamas"),
    ],
)
@pytest.mark.parametrize("flags", [LIST, PRUNE, ["--json"], ["--json", "--prune"]])
def test_what_is_no_gollamas_exits_1(
    flags: list[str], status: int, body: bytes, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/variants/prune" if "--prune" in flags else "/variants"
    with serving({path: (status, body)}) as server:
        assert main(["variants", *flags, "--admin", f"127.0.0.1:{server.port}"]) == 1
    said = one_line(capsys)
    assert said.startswith(f"gollamas: what answers at http://127.0.0.1:{server.port}{path} ")
    assert why in said


@pytest.mark.parametrize("flags", [LIST, PRUNE])
def test_a_refusal_is_told_in_the_words_of_the_proxy(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/variants/prune" if flags else "/variants"
    body = msgspec.json.encode({"error": "this needs a token: \x1b[31m set GOLLAMAS_ADMIN_TOKEN"})
    with serving({path: (403, body)}) as server:
        assert main(["variants", *flags, "--admin", f"127.0.0.1:{server.port}"]) == 1
    refused = f"http://127.0.0.1:{server.port}{path} is refused: this needs a token"
    assert one_line(capsys) == rf"gollamas: {refused}: \x1b[31m set GOLLAMAS_ADMIN_TOKEN"


def test_an_address_that_is_none_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["variants", "--admin", "11435"]) == 2
    assert "--admin: `11435` has no host" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--admin-token", "--token", "--admin_token"])
def test_a_token_is_taken_by_no_flag(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Others see the command lines of all processes."""
    assert main(["variants", "--prune", "--admin=127.0.0.1:1", flag, "s3cret"]) == 2
    assert "s3cret" not in capsys.readouterr().err


def test_prune_is_a_flag_of_this_verb_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, hint in ((["status", "--prune"], "variants --prune"), (["prune"], "variants")):
        assert main(argv) == 2
        assert f"Write `gollamas {hint}`" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["variants", "--help"], ["help", "variants"]])
def test_it_has_a_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert said.startswith("Usage: gollamas variants [--prune] [--json]")
    for word in ("GOLLAMAS_ADMIN_TOKEN", "--prune", "--json", "--admin", "--config"):
        assert word in said
    assert main(["--help"]) == 0
    assert "  variants " in capsys.readouterr().out


def test_plain_text_needs_no_library_for_tables() -> None:
    code = (
        "import sys\nfrom gollamas.cli.main import main\n"
        "code = main(['variants', '--admin', sys.argv[1]])\nprint('|', *sys.modules)\nsys.exit(code)"
    )
    with serving(answers(variants=PAGES["/variants"])) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, f"127.0.0.1:{server.port}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    assert "rich" not in done.stdout.partition("|")[2].split()
