"""What is told when the proxy listens."""

from gollamas.observe.started import started
from tests.unit.fleet.fleets import config


def test_the_start_tells_where_it_listens_and_what_it_serves() -> None:
    said = started(config({"m": ["a", "b"]}, {"x": "m"}), ("127.0.0.1:11434",), None)
    assert (said.listen, said.admin) == (("127.0.0.1:11434",), None)
    assert said.servers == (("a", "http://127.0.0.1:11434"), ("b", "http://127.0.0.1:11434"))
    assert (said.models, said.aliases) == ((("m", ("a", "b")),), (("x", "m"),))
