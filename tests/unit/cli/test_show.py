"""What `gollamas show` prints of a model."""

import msgspec
import pytest

from gollamas.cli.main import main
from gollamas.cli.show import ShownModel, lines_of
from tests.unit.cli.servers import serving

WHOLE = {
    "license": "MIT License\n\nCopyright somebody\nAll rights\n",
    "system": "You are terse.\n\x1b[2JReally.",
    "parameters": 'stop                           "<|im_end|>"\nnum_ctx 4096',
    "template": "{{ .Prompt }}",
    "details": {
        "format": "gguf",
        "family": "llama",
        "parameter_size": "3.2B",
        "quantization_level": "Q4_K_M",
    },
    "model_info": {
        "general.architecture": "llama",
        "llama.context_length": 131072,
        "llama.embedding_length": 3072,
        "general.parameter_count": 3212749888,
    },
    "capabilities": ["completion", "tools"],
}


def lines(**members: object) -> list[str]:
    return list(lines_of(msgspec.convert(members, ShownModel)))


def test_it_has_the_sections_of_ollama_show() -> None:
    assert lines(**WHOLE) == [
        "Model",
        "  architecture      llama",
        "  parameters        3.2B",
        "  context length    131072",
        "  embedding length  3072",
        "  quantization      Q4_K_M",
        "  format            gguf",
        "",
        "Capabilities",
        "  completion",
        "  tools",
        "",
        "Parameters",
        '  stop     "<|im_end|>"',
        "  num_ctx  4096",
        "",
        "System",
        "  You are terse.",
        r"  \x1b[2JReally.",
        "",
        "License",
        "  MIT License",
        "  Copyright somebody",
        "  ...",
    ]


def test_what_a_model_does_not_say_is_left_out() -> None:
    assert lines(details={"family": "bert"}, model_info={"bert.context_length": "many"}) == [
        "Model",
        "  architecture  bert",
    ]
    assert lines(details={}) == []
    remote = lines(details={"parameter_size": ""}, remote_model="big", remote_host="https://ollama.com")
    assert remote[1:] == ["  remote model  big", "  remote host   https://ollama.com"]
    counted = lines(details={}, model_info={"general.parameter_count": 7}, license="MIT")
    assert counted == ["Model", "  parameters  7", "", "License", "  MIT"]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_json_is_what_came_on_a_line(end: bytes, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    body = msgspec.json.encode({**WHOLE, "later": [1]})
    with serving({"/api/show": (200, body + end)}) as server:
        assert main(["show", "--json", f"--host=127.0.0.1:{server.port}", "smol"]) == 0
    assert capfdbinary.readouterr().out == body + b"\n"
