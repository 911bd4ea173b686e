"""limit, on_limit and on_overflow: words, shapes in the file, and policies of ours that are above a limit."""

import pytest

from tests.unit.config.loading import FILE, config_of, config_of_yaml, faults_of, faults_of_yaml
from tests.unit.config.test_levels import ALL, BASE, BASE_YAML, BOTH, G2, M1, MODEL


def test_a_file_says_limits_at_every_level() -> None:
    """And what is done with what is too large."""
    config = config_of_yaml(
        "servers: {g1: 'http://gpu-1:11434', g2: {url: 'http://gpu-2:11434', limit: {num_ctx: 8192},"
        " on_limit: clamp, on_overflow: error}}\n"
        "models:\n"
        "  m1:\n"
        "    servers: [g1, g2]\n"
        "    limit: {num_ctx: off}\n"
        "    on_limit: error\n"
        "    per_server: {g2: {limit: {num_ctx: 4096}, on_limit: Clamp, on_overflow: pass}}\n"
        "limit:\n"
        "  num_ctx: 32768\n"
        "on_overflow: error\n"
    )
    assert config.limit_num_ctx == {ALL: 32768, G2: 8192, MODEL: None, BOTH: 4096}
    assert config.on_limit == {G2: "clamp", MODEL: "error", BOTH: "clamp"}
    assert config.on_overflow == {ALL: "error", G2: "error", BOTH: "pass"}
    assert config.warnings == ()


@pytest.mark.parametrize("text", ["limit:\n", "limit: {}\n", "limit: {num_ctx: }\non_limit:\non_overflow:\n"])
def test_a_key_with_nothing_behind_it_says_nothing(text: str) -> None:
    """At the top, with a server, a model and on a server."""
    nearer = "{m1: {servers: g1, limit: , on_limit: , per_server: {g1: {limit: , on_overflow: }}}}"
    text += f"servers: {{g1: {{url: 'http://gpu-1:11434', limit: }}}}\nmodels: {nearer}\n"
    config = config_of_yaml(text)
    assert (config.limit_num_ctx, config.on_limit, config.on_overflow) == ({}, {}, {})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("limit: 32768", "`limit` is a text, not a mapping. Write `num_ctx: TOKENS` lines under it, like"),
        ("limit: [1]", "`limit` is a list, not a mapping."),
        ("limit: {default: 5}", "the key `default` is unknown. The keys here are: num_ctx."),
        ("limit: {context_length: 5}", "the key `context_length` is unknown. Write `num_ctx`."),
        ("limit: {num_ctx: 8k}", "`8k` is no whole number. Write `8192`."),
        ("limit: {num_ctx: loaded}", "`loaded` is no whole number. Write a number from 4 to 100000000."),
        ("limit: {num_ctx: 3}", "`3` is out of range."),
        ("limit: {num_ctx: -1}", "`-1` is no whole number. Write `off`."),
        ("limit: {num_ctx: {force: 4}}", "`num_ctx` takes one value, and this is a mapping."),
        ("limit_num_ctx: 5", "the key `limit_num_ctx` is unknown. Write `limit: {num_ctx: TOKENS}`."),
        ("num_ctx: {ctx: 5}", "the key `ctx` is unknown. The keys here are: default, force."),
        ("on_limit: {default: clamp}", "`on_limit` takes one value, and this is a mapping."),
        ("on_limit: lower", "`lower` is not known here. Write `clamp`, or another of: error, clamp."),
        ("on_limit: off", "`off` is not known here. Write one of: error, clamp."),
        ("on_overflow: truncate", "`truncate` is not known here. Write `pass`, or another of: pass, error."),
        ("on_overflow: true", "`true` is not known here. Write `error`, or another of: pass, error."),
    ],
)
def test_what_a_file_gets_wrong_is_a_fault_with_its_line(text: str, fault: str) -> None:
    """Shapes, keys and values."""
    (found,) = faults_of_yaml(f"{BASE_YAML}{text}")
    assert found.startswith(f"{FILE}:4: {fault}"), found


@pytest.mark.parametrize("flag", ["--limit", "--max-num-ctx", "--max-context-length"])
def test_other_words_for_a_limit_name_ours(flag: str) -> None:
    (fault,) = faults_of("http://h", flag, "5")
    assert fault.endswith("Write `--limit-num-ctx`.")


LIMITED = "--limit-num-ctx"


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        (
            ("--num-ctx", "8192", LIMITED, "4096"),
            f"--num-ctx: `num_ctx` is 8192 here, and the limit for `m1` on `g1` is 4096 ({LIMITED})",
        ),
        (
            ("--force-num-ctx", "m1=8192", LIMITED, "@g2=4096"),
            f"--force-num-ctx: `num_ctx` is 8192 here, and the limit for `m1` on `g2` is 4096 ({LIMITED})",
        ),
        (
            ("--num-ctx", "m2:8b@g1=8192", LIMITED, "m2:8b=8191"),
            f"--num-ctx: `num_ctx` is 8192 here, and the limit for `m2:8b` on `g1` is 8191 ({LIMITED})",
        ),
        (("--num-ctx", "4096", LIMITED, "4096"), None),
        (("--num-ctx", "loaded", LIMITED, "4096"), None),
        (("--num-ctx", "8192", LIMITED, "off"), None),
        (("--num-ctx", "8192", LIMITED, "@g2=4096,m1=off"), None),
        # A force is sent, whatever the default is; where it is lifted, the default is.
        (("--num-ctx", "8192", "--force-num-ctx", "2048", LIMITED, "4096"), None),
        (("--num-ctx", "2048", "--force-num-ctx", "m1=9000,m1=off", LIMITED, "4096"), None),
        (
            ("--num-ctx", "8192", "--force-num-ctx", "2048,m1@g2=off", LIMITED, "4096"),
            f"--num-ctx: `num_ctx` is 8192 here, and the limit for `m1` on `g2` is 4096 ({LIMITED}).",
        ),
        # What is nearest holds, of both.
        (("--num-ctx", "8192,m1=2048,m2:8b=2048", LIMITED, "4096"), None),
        (("--num-ctx", "4096", LIMITED, "2048,m1=4096,m2:8b=8192"), None),
        (("--num-ctx", "4096,m1@g2=8192", LIMITED, "m1=4096,m1@g2=8192"), None),
        # A clamp is for what clients ask for.
        (("--num-ctx", "8192", LIMITED, "4096", "--on-limit", "clamp"), "--num-ctx: `num_ctx` is 8192 here"),
    ],
)
def test_a_policy_above_the_limit_is_a_fault(argv: tuple[str, ...], fault: str | None) -> None:
    """Where both hold for one model on one server; it names both places."""
    if fault is None:
        config_of(*BASE, *argv)
        return
    (found,) = faults_of(*BASE, *argv)
    assert found.startswith(fault)


def test_two_entries_that_do_not_go_together_are_told_once() -> None:
    """Not once for a model; each other pair is told, too."""
    text = (
        "num_ctx: 8192\n"
        "limit: {num_ctx: 4096}\n"
        "models:\n"
        "  m1: {servers: [g1, g2], num_ctx: {force: 16384}, per_server: {g2: {limit: {num_ctx: 2048}}}}\n"
        "  m3: [g1, g2]\n"
        "  m4: [g1, g2]\n"
    )
    place = "`num_ctx` is 16384 here, and the limit for `m1` on "
    assert [fault.partition(". ")[0] for fault in faults_of_yaml(text, *BASE)] == [
        f"{FILE}:4: {place}`g1` is 4096 ({FILE}:2)",
        f"{FILE}:4: {place}`g2` is 2048 ({FILE}:4)",
        f"{FILE}:1: `num_ctx` is 8192 here, and the limit for `m2:8b` on `g1` is 4096 ({FILE}:2)",
    ]


def test_models_that_are_not_configured_are_judged_where_they_are_served() -> None:
    """Under `expose: installed` any model may be on any server; else nothing is sent for them."""
    (fault,) = faults_of("http://h", "--num-ctx", "8192", LIMITED, "4096")
    assert "`num_ctx` is 8192 here, and the limit on `h:80` is 4096" in fault
    (fault,) = faults_of("http://h", "--num-ctx", "other=8192", LIMITED, "@h:80=4096")
    assert "and the limit for `other:latest` on `h:80` is 4096" in fault
    config_of("http://h", "--num-ctx", "other=8192", LIMITED, "4096,other=off")
    # A server that runs no configured model gets no request.
    argv = ("--connection", "g3=http://gpu-3", "--num-ctx", "@g3=8192", LIMITED, "@g3=4096")
    config_of(*BASE, *argv)
    assert len(faults_of(*BASE, *argv, "--expose", "installed")) == 1


def test_a_cloud_model_is_sent_no_context_of_ours() -> None:
    """So none is above a limit."""
    argv = ("--proxy", "x:cloud=http://h", "--num-ctx", "8192", LIMITED, "4096")
    config_of(*argv)
    config_of("http://h", "--expose=installed", "--num-ctx", "x:cloud=8192", LIMITED, "4096")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (("--num-ctx", "8192", LIMITED, "4096", LIMITED, "m1=x"), ""),
        (("--num-ctx", "8192,m1=8k", LIMITED, "4096"), ""),
        (("--num-ctx", "8192", "--force-num-ctx", "=1", LIMITED, "4096"), ""),
        (("--num-ctx", "8192", "--force-num-ctx", "2048;m1=1", LIMITED, "4096"), ""),
        (("--num-ctx", "8192", LIMITED, "4096,m9=5"), ""),
        (("--num-ctx", "8192", LIMITED, "4096,8192"), ""),
        (("--num-ctx", "8192", LIMITED, "4096", "--expose", "x"), ""),
        (("--num-ctx", "8192", LIMITED, "4096"), "num_ctx: {forced: 2048}"),
        (("--num-ctx", "8192", LIMITED, "4096"), "models: {m1: {limit: 5}}"),
        (("--num-ctx", "8192", LIMITED, "4096"), "force_num_ctx: 5"),
        (("--num-ctx", "8192", LIMITED, "4096"), "[]"),
    ],
)
def test_what_may_follow_from_another_fault_is_not_told(argv: tuple[str, ...], text: str) -> None:
    """An entry that can't be read may be the one that makes it right."""
    (fault,) = faults_of(*BASE, *argv, "--config", FILE, files={FILE: text})
    assert "Lower the one" not in fault


def test_another_fault_does_not_hide_a_policy_above_the_limit() -> None:
    """One that has to do with neither."""
    faults = faults_of(*BASE, "--num-ctx", "8192", LIMITED, "4096", "--grace", "x", "--keep-alive", "x")
    assert [fault.partition(":")[0] for fault in faults] == ["--grace", "--keep-alive", "--num-ctx"]


def test_each_level_of_a_word_is_its_own() -> None:
    """There is nothing to lift: the other word says it."""
    config = config_of(*BASE, "--on-limit", "clamp,m1=error", "--on-overflow=error", "--on-overflow=@g2=pass")
    assert config.on_limit == {ALL: "clamp", MODEL: "error"}
    assert config.on_overflow == {ALL: "error", G2: "pass"}
    assert (M1, "") == MODEL
