"""Makes events for the tests of those who read them."""

from gollamas.events import RequestEnded


def request_ended(**members: object) -> RequestEnded:
    """Make the event of a request of which this is known."""
    made = {name: str(members.pop(name)) for name in ("request_id", "client", "method", "route")}
    event = RequestEnded(**made)
    for name, value in members.items():
        setattr(event, name, value)
    return event
