"""The JSON Schema knows the file's keys, and the words of each choice."""

import json

from gollamas.config.options import ENTRIES, LATER, POLICY_KEYS, VALUES
from gollamas.config.schema import schema, schema_text


def test_the_schema_has_every_key_and_no_other() -> None:
    """Options and the keys of a later release."""
    described = schema()
    options = {option.key for option in (*ENTRIES, *VALUES)}
    assert set(described["properties"]) == options | {*POLICY_KEYS, *LATER}
    assert described["additionalProperties"] is False
    assert json.loads(schema_text()) == described


def test_the_schema_says_range_and_default() -> None:
    """For people who read it in their editor."""
    properties = schema()["properties"]
    assert properties["grace"]["description"].endswith("Accepts: 0s to 24h. Default: 30s.")
    assert "warning" in json.dumps(properties["level"])
    assert "Default" not in properties["origins"]["description"]


def test_the_schema_knows_servers_and_models() -> None:
    """A server's and a model's keys."""
    text = json.dumps(schema())
    for key in ("url", "headers", "tls", "ca", "verify", "per_server", *POLICY_KEYS, *LATER):
        assert f'"{key}": {{' in text
