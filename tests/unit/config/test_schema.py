"""The JSON Schema knows the file's keys, and the words of each choice."""

import json

from gollamas.config.options import ENTRIES, POLICY_KEYS, VALUES
from gollamas.config.schema import schema, schema_text


def test_the_schema_has_every_key_and_no_other() -> None:
    """Options and policies."""
    described = schema()
    options = {option.key for option in (*ENTRIES, *VALUES)}
    assert set(described["properties"]) == options | {*POLICY_KEYS}
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
    for key in ("url", "headers", "tls", "ca", "verify", "per_server", *POLICY_KEYS):
        assert f'"{key}": {{' in text


def test_the_schema_knows_where_each_policy_may_stand() -> None:
    """What is kept loaded is not said of a server alone, and on one server it is no number."""
    properties = schema()["properties"]
    server = properties["servers"]["anyOf"][0]["additionalProperties"]["anyOf"][1]["properties"]
    model = properties["models"]["anyOf"][0]["additionalProperties"]["anyOf"][1]
    per_server = model["properties"]["per_server"]["anyOf"][0]["additionalProperties"]["anyOf"][0]
    assert not {"preload", "ping"} & server.keys()
    assert {"limit", "on_limit", "on_overflow"} < server.keys()
    assert set(per_server["properties"]) == {*POLICY_KEYS}
    for place, has_number in (
        (properties, True),
        (model["properties"], True),
        (per_server["properties"], False),
    ):
        assert ("integer" in json.dumps(place["preload"])) is has_number
        assert place["limit"]["anyOf"][0]["properties"].keys() == {"num_ctx"}
        assert place["on_limit"]["anyOf"][0]["anyOf"][0] == {"enum": ["error", "clamp"]}
        assert place["on_overflow"]["description"].endswith("Default: pass.")
    assert {"required": ["preload"]} in model["anyOf"]
