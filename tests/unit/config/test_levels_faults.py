"""Entries and keys of policies that mean nothing: each is a fault that says what to write."""

import pytest

from tests.unit.config.loading import FILE, config_of, faults_of
from tests.unit.config.test_levels import BASE, MODEL


def fault_of(*entries: str, base: tuple[str, ...] = BASE) -> str:
    """Find the one fault of a `--keep-alive` with these entries."""
    (fault,) = faults_of(*base, "--keep-alive", ",".join(entries))
    assert fault.startswith("--keep-alive: ")
    return fault.removeprefix("--keep-alive: ")


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("@g22=5m", "no server is called `g22`. Write `g2`."),
        ("m1@g9=5m", "no server is called `g9`. Write one of: g1, g2."),
        (
            "@http://u:hunter2@gpu-9=5m",
            "no server is called `http://***@gpu-9`. Write one of: g1, g2.",
        ),
        ("@gpu-9:0=5m", "the URL's port is no number from 1 to 65535."),
        ("m2:9b=5m", "no model `m2:9b` is configured. Write `m2:8b`, or expose the installed ones"),
        ("m2=5m", "no model `m2` is configured. Write `m2:8b`, or"),
        ("m11@g1=5m", "no model `m11` is configured. Write `m1`, or"),
        ("other=5m", "Add it, as in `--proxy other=http://gpu-1:11434`, or expose the installed ones"),
        ("g1=5m", "no model `g1` is configured. Write `@g1`, or expose"),
        ("al=5m", "`al` is an alias. Write its model, `m1`."),
        ("al@g1=5m", "`al` is an alias."),
        (
            "m2:8b@g2=5m",
            "g1; or let it run there, too, as in `--proxy m2:8b=g2`.",
        ),
        ("m2:8b@g2=5m", "`m2:8b` does not run on the server `g2`. Name one of its own: g1; or"),
        ("gollamas/m1:ctx8192=5m", "`gollamas/m1:ctx8192` can't be named: what is under `gollamas/` belongs"),
        ("m!1=5m", "`m!1` is no model's name. Write a name as Ollama has it"),
        (
            "http://u:hunter2@gpu-1=5m",
            "`http://***@gpu-1` stands where a model's name belongs. Write `@http://***@gpu-1=5m`",
        ),
        ("m1@g1=5x", "`5x` is no duration (in the entry `m1@g1`)."),
        (
            "=5m",
            "the entry `=5m` lacks a name. Write `DURATION`, `MODEL=DURATION` or `MODEL@SERVER=DURATION`.",
        ),
        ("@=5m", "the entry `@=5m` lacks a name."),
        ("m1@=5m", "the entry `m1@=5m` lacks a name."),
        ("m1=", "the entry `m1` has nothing after its `=`."),
        ("m1@g1", "the entry `m1@g1` has no value."),
        ("http://u:hunter2@gpu-1", "the entry `http://***@gpu-1` has no value."),
        ("http://gpu-1", "the entry `http://gpu-1` has no value."),
        ("@http://u:hunter2=x@gpu-1", "has no value."),
        ("", "the entry is empty. Write `--keep-alive [[MODEL][@SERVER]=]DURATION,...`."),
        ("10 m", "`10 m` is no duration. Write `10m`."),
        ("m1=10 m", "`10 m` is no duration (in the entry `m1`). Write `10m`."),
        ("m1=5m;m2:8b=5m", "the entry that begins with `m1` has a `;` in it."),
        ("5,5m", "the list has more than one value for all models: 5, 5m. Keep one of them"),
    ],
)
def test_an_entry_that_means_nothing_is_a_fault(entry: str, fault: str) -> None:
    """Which says what to write, quotes no password, and is the only one."""
    found = fault_of(entry)
    assert fault in found
    assert "hunter" not in found


def test_a_flag_without_a_value_is_told_how_an_entry_is_written() -> None:
    """As every flag."""
    (fault,) = faults_of(*BASE, "--force-num-ctx")
    assert fault.endswith("Write `--force-num-ctx=[[MODEL][@SERVER]=]TOKENS,...`.")


def test_all_faults_of_all_places_are_told_at_once() -> None:
    """Also of what is overruled."""
    files = {FILE: "keep_alive: 1x\nnum_ctx: {force: loaded}\n"}
    env = {"GOLLAMAS_KEEP_ALIVE": "2x,m9=1", "GOLLAMAS_FORCE_NUM_CTX": "3"}
    argv = (
        *BASE,
        "--config",
        FILE,
        "--keep-alive",
        "5m",
        "--force-num-ctx",
        "4096",
        "--keep-alive",
        "@g9=3x",
    )
    faults = faults_of(*argv, env=env, files=files)
    assert [fault.partition(". ")[0] for fault in faults] == [
        f"{FILE}:1: `1x` is no duration",
        "GOLLAMAS_KEEP_ALIVE: `2x` is no duration",
        "GOLLAMAS_KEEP_ALIVE: no model `m9` is configured",
        "--keep-alive: no server is called `g9`",
        "--keep-alive: `3x` is no duration (in the entry `@g9`)",
        f"{FILE}:2: `loaded` can't be forced",
        "GOLLAMAS_FORCE_NUM_CTX: `3` is out of range",
    ]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("keep_alive: [1, 2]", ["1: `keep_alive` takes one value, and this is a list"]),
        ("keep_alive: {default: {a: 1}}", ["1: `default` takes one value, and this is a mapping"]),
        ("keep_alive: {forced: 1}", ["1: the key `forced` is unknown. Write `force`."]),
        ("keep_alive: {value: 1}", ["1: the key `value` is unknown. Write `default`."]),
        ("num_ctx: {x: 1}", ["1: the key `x` is unknown. The keys here are: default, force."]),
        ("force_num_ctx: 4096", ["1: the key `force_num_ctx` is unknown. Write `num_ctx: {force: TOKENS}`."]),
        ("context_length: 4096", ["1: the key `context_length` is unknown. Write `num_ctx`."]),
        ("models:\n  m1: {keep_alives: 1, servers: g1}", ["2: the key `keep_alives` is unknown."]),
        ("models:\n  m1:\n    servers: g1\n    keep_alive: 8k", ["4: `8k` is no duration."]),
        ("models:\n  m1: {per_server: 1}", ["2: `per_server` is a text, not a mapping."]),
        ("models:\n  m1: {per_server: [g1]}", ["2: `per_server` is a list, not a mapping."]),
        (
            "models:\n  m1:\n    per_server:\n      g1: 8192",
            ["4: what `g1` has for `m1` is no mapping. Write `g1: {num_ctx: TOKENS}`."],
        ),
        (
            "models:\n  m1:\n    per_server:\n      g1: {ctx: 8192}",
            ["4: the key `ctx` is unknown. The keys here are: keep_alive, num_ctx, limit, on_limit, on_"],
        ),
        (
            "models:\n  'm2:8b':\n    per_server:\n      g2: {num_ctx: 8192}",
            ["4: `m2:8b` does not run on the server `g2`."],
        ),
        (
            # Once, where the model is named.
            "models:\n  other:\n    num_ctx: {default: 8, force: 4}\n    per_server: {g2: {num_ctx: 4}}",
            ["2: no model `other` is configured."],
        ),
        ("models:\n  al: {num_ctx: 8192}", ["2: `al` is an alias. Write its model, `m1`."]),
        ("models:\n  other: {num_ctx: , keep_alive: }", ["2: the model `other` has no server."]),
        ("models:\n  other: {num_ctx: 4, servers: []}", ["2: the model `other` has no server."]),
        # The slip is told, and that the model has no server is what follows from it.
        (
            "models:\n  other: {num_ctx: 8192, server: g1}",
            ["2: the key `server` is unknown. Write `servers`."],
        ),
        ("models:\n  gollamas/x: {num_ctx: 4, servers: g1}", ["2: `gollamas/x` can't be named"]),
        (
            "models:\n  m1: {num_ctx: 8192}\n  M1:latest: {num_ctx: 4096}",
            [f"3: `num_ctx` is 4096 here and 8192 at {FILE}:2, for the same. Keep one of the two."],
        ),
        (
            "servers: {g3: {url: 'ftp://x', num_ctx: 9}}\nmodels: {m1: {per_server: {g3: {num_ctx: 9}}}}",
            ["1: `ftp://x` "],
        ),
    ],
)
def test_what_a_file_gets_wrong_is_a_fault_with_its_line(text: str, faults: list[str]) -> None:
    """Shapes, keys, names and values; what follows from a fault is not told as another."""
    found = faults_of(*BASE, "--config", FILE, files={FILE: text})
    assert len(found) == len(faults), found
    for fault, expected in zip(found, faults, strict=True):
        assert fault.startswith(f"{FILE}:{expected}"), fault


def test_the_same_said_twice_in_a_file_is_no_fault() -> None:
    """Two spellings of one model, and one value."""
    text = "models:\n  m1: {num_ctx: 8192}\n  M1:latest: {num_ctx: 8192}"
    assert config_of(*BASE, "--config", FILE, files={FILE: text}).num_ctx == {MODEL: 8192}


@pytest.mark.parametrize(
    ("flags", "only"),
    [
        (("--proxy", "x", "--keep-alive", "x=1"), "--proxy: `x` has no `=`"),
        (("--alias", "x=y", "--keep-alive", "x=1"), "--alias: the alias `x` means `y`"),
        (("--alias", "x=x", "--keep-alive", "x=1"), "--alias: the alias leads back to itself"),
        (("--connection", "x=ftp://y", "--keep-alive", "@x=1"), "--connection: "),
        (("--connection", "x=ftp://y", "--keep-alive", "@y:1=1"), "--connection: "),
        (("--expose", "x", "--keep-alive", "x=1"), "--expose: "),
    ],
)
def test_what_follows_from_another_fault_is_not_told(flags: tuple[str, ...], only: str) -> None:
    """The name is unknown since the entry that has it is faulty."""
    (fault,) = faults_of(*BASE, *flags)
    assert fault.startswith(only)


def test_without_any_server_that_alone_is_told() -> None:
    """And not that each one that is named is none."""
    (fault,) = faults_of("--keep-alive", "@x=1,@http://h=1")
    assert "no server is named" in fault


def test_a_file_that_can_t_be_read_makes_no_name_unknown() -> None:
    """Its models and servers are most likely those."""
    faults = faults_of("http://h", "--config", "none.yaml", "--keep-alive", "m=1,@s=1")
    assert [fault.partition(":")[0] for fault in faults] == ["--config"]


@pytest.mark.parametrize(
    "argv",
    [
        ("--proxy", "gollamas/m1=http://h"),
        ("--proxy", "m1=http://h", "--alias", "GOLLAMAS/a:b=m1"),
        ("--alias", "a=registry.ollama.ai/gollamas/m1:ctx4", "http://h", "--expose=installed"),
        ("http://h", "--num-ctx", "https://registry.ollama.ai/gollamas/m1=4".removeprefix("https://")),
    ],
)
def test_names_under_gollamas_are_nobody_else_s(argv: tuple[str, ...]) -> None:
    """Neither a model's, an alias's, what it means, nor a policy's; one of another registry is."""
    faults = faults_of(*argv)
    assert "what is under `gollamas/` belongs to gollamas itself. Write another name" in faults[0]
    other = [text.replace("gollamas/", "x/gollamas/", 1).replace("GOLLAMAS/", "x/GOLLAMAS/") for text in argv]
    config_of(*(text.replace("registry.ollama.ai/", "") for text in other))
