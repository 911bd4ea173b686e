"""The members of requests."""

import pytest

from gollamas.simulate.fields import read
from gollamas.simulate.refusal import Refusal
from gollamas.simulate.settings import FOREVER


def fault_of(struct: str, body: bytes, *, is_embedded: bool = False) -> str:
    """Give the text of the refusal."""
    with pytest.raises(Refusal) as raised:
        read(struct, body, is_embedded=is_embedded)
    assert raised.value.status == 400
    return raised.value.text


def test_the_last_of_two_spellings_wins() -> None:
    """Keys are read without regard to case, in order."""
    assert read("GenerateRequest", b'{"MODEL":"nope","model":"smol","Prompt":"Hi"}') == {
        "model": "smol",
        "prompt": "Hi",
    }
    assert read("GenerateRequest", b'{"model":"smol","MODEL":"nope"}') == {"model": "nope"}


def test_null_is_absent_and_the_unknown_is_ignored() -> None:
    """A null changes nothing, and what no field has is dropped."""
    assert read("ChatRequest", b'{"model":"a","model":null,"nonsense":[1],"stream":null}') == {"model": "a"}
    assert read("ChatRequest", b"null") == {}


@pytest.mark.parametrize(
    ("struct", "body", "fault"),
    [
        (
            "GenerateRequest",
            b'{"model": 7}',
            "json: cannot unmarshal number into Go struct field GenerateRequest.model of type string",
        ),
        (
            "ChatRequest",
            b'{"stream": "yes"}',
            "json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool",
        ),
        (
            "ChatRequest",
            b'{"messages": {}}',
            "json: cannot unmarshal object into Go struct field ChatRequest.messages of type []api.Message",
        ),
        (
            "PullRequest",
            b'{"insecure": 1}',
            "json: cannot unmarshal number into Go struct field PullRequest.insecure of type bool",
        ),
        (
            "ChatRequest",
            b'{"top_logprobs": 1.5}',
            "json: cannot unmarshal number 1.5 into Go struct field ChatRequest.top_logprobs of type int",
        ),
        (
            "ChatRequest",
            b'{"messages": [null, 7]}',
            "json: cannot unmarshal number into Go struct field ChatRequest.messages of type api.Alias",
        ),
        (
            "ChatRequest",
            b'{"messages": [{"role": null, "content": 7}]}',
            "json: cannot unmarshal number into Go struct field ChatRequest.messages.content of type string",
        ),
        (
            "ChatRequest",
            b'{"messages": [{"content": "a", "other": 7, "images": [7]}]}',
            (
                "json: cannot unmarshal number into Go struct field ChatRequest.messages.images"
                " of type api.ImageData"
            ),
        ),
        (
            "GenerateRequest",
            b'{"images": "AA=="}',
            (
                "json: cannot unmarshal string into Go struct field GenerateRequest.images"
                " of type []api.ImageData"
            ),
        ),
        ("GenerateRequest", b'{"images": ["AA==", "*"]}', "illegal base64 data at input byte 0"),
        (
            "MessagesRequest",
            b'{"messages": [{"role": "user", "content": 7}]}',
            (
                "json: cannot unmarshal number into Go struct field MessagesRequest.messages"
                " of type []anthropic.ContentBlock"
            ),
        ),
        (
            "MessagesRequest",
            b'{"messages": [7]}',
            (
                "json: cannot unmarshal number into Go struct field MessagesRequest.messages of type"
                ' struct { Role string "json:\\"role\\""; Content json.RawMessage "json:\\"content\\"" }'
            ),
        ),
        ("GenerateRequest", b"[]", "json: cannot unmarshal array into Go value of type api.GenerateRequest"),
        ("GenerateRequest", b"", "missing request body"),
    ],
)
def test_wrong_types_have_the_words_of_go(struct: str, body: bytes, fault: str) -> None:
    """A member of a wrong type is named with its struct and its type."""
    assert fault_of(struct, body) == fault


@pytest.mark.parametrize(
    ("struct", "body", "fault"),
    [
        (
            "GenerateRequest",
            b'{"model": 7}',
            "json: cannot unmarshal number into Go struct field .GenerateRequest.model of type string",
        ),
        (
            "ChatRequest",
            b'{"think": 7, "messages": [{"content": 7}]}',
            "json: cannot unmarshal number into Go struct field .ChatRequest.messages.content of type string",
        ),
        (
            "ChatRequest",
            b"[1]",
            (
                "json: cannot unmarshal array into Go value of type struct"
                ' { *api.ChatRequest; Think json.RawMessage "json:\\"think\\"" }'
            ),
        ),
        ("ChatRequest", b'{"think": 7}', "think must be a boolean or string"),
    ],
)
def test_a_nameless_struct_shows_in_the_words_of_go(struct: str, body: bytes, fault: str) -> None:
    """Its name is empty, so that a dot comes first; `think` is read after all else."""
    assert fault_of(struct, body, is_embedded=True) == fault


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("1.5", 1.5),
        ("-1", FOREVER),
        ('"5m"', 300.0),
        ('"-1m"', FOREVER),
        ('"0"', 0.0),
        ("1e30", FOREVER),
    ],
)
def test_keep_alive(value: str, seconds: float) -> None:
    """Numbers are seconds, strings are durations, anything negative is for ever."""
    assert read("ChatRequest", b'{"keep_alive": %b}' % value.encode())["keep_alive"] == seconds


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ('"-1"', 'time: missing unit in duration "-1"'),
        ('""', 'time: invalid duration ""'),
        ("true", "Unsupported type: 'bool'"),
        ("[]", "Unsupported type: '[]interface {}'"),
    ],
)
def test_what_keep_alive_is_not(value: str, fault: str) -> None:
    """The words of Ollama for a wrong keep_alive."""
    assert fault_of("ChatRequest", b'{"keep_alive": %b}' % value.encode()) == fault


def test_think_is_a_boolean_or_one_of_four_words() -> None:
    """Anything else is refused."""
    assert read("ChatRequest", b'{"think": "high"}') == {"think": "high"}
    assert read("ChatRequest", b'{"think": false}') == {"think": False}
    assert fault_of("ChatRequest", b'{"think": "much"}').startswith('invalid think value: "much"')
    assert fault_of("ChatRequest", b'{"think": 1}').startswith("think must be a boolean or string")
    assert fault_of("ChatRequest", b'{"think": "a\\tb"}').startswith('invalid think value: "a\\tb"')


def test_words_for_thinking_wait_for_the_model_in_a_nameless_struct() -> None:
    """Models name words of their own there."""
    assert read("ChatRequest", b'{"think": "much"}', is_embedded=True) == {"think": "much"}
