"""The pages about variants."""

import json

import msgspec

from gollamas.observe.variants import (
    Pruned,
    VariantFailure,
    VariantList,
    VariantState,
    pruned_page,
    variants_page,
)

ONE = VariantState(
    server="gpu-1",
    model=None,
    num_ctx=4096,
    is_needed=False,
    is_current=False,
    size=None,
    name="gollamas/a-1:ctx4096",
)


def test_a_variant_is_told_of_with_all_its_members() -> None:
    page = variants_page((ONE,))
    assert page.endswith(b"\n")
    assert json.loads(page) == {
        "variants": [
            {
                "server": "gpu-1",
                "model": None,
                "num_ctx": 4096,
                "is_needed": False,
                "is_current": False,
                "size": None,
                "name": "gollamas/a-1:ctx4096",
            }
        ]
    }


def test_what_is_written_can_be_read() -> None:
    copy = msgspec.structs.replace(ONE, num_ctx=None, name="gollamas/a-1:old")
    assert msgspec.json.decode(variants_page((copy,)), type=VariantList).variants == [copy]
    assert b'"num_ctx":null' in variants_page((copy,))
    assert msgspec.json.decode(variants_page((ONE, ONE)), type=VariantList).variants == [ONE, ONE]
    failure = VariantFailure(variant=ONE, why="it is down")
    read = msgspec.json.decode(pruned_page(Pruned(removed=(ONE,), failed=(failure,))), type=Pruned)
    assert (read.removed, read.failed) == ([ONE], [failure])


def test_a_reason_is_cut_and_shows_no_password_and_a_name_commands_no_terminal() -> None:
    why = "http://me:secret@gpu-2 said " + "x" * 1000
    name = "gollamas/\u202ea:ctx1"
    odd = msgspec.structs.replace(ONE, name=name)
    page = pruned_page(Pruned(removed=(), failed=(VariantFailure(variant=odd, why=why),)))
    assert b"secret" not in page
    assert len(page) < 700
    assert b"\\u202e" in page
    assert json.loads(page)["failed"][0]["variant"]["name"] == name
