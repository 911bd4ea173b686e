"""What all that runs beside requests is given."""

from typing import NamedTuple

from gollamas.background.prober import Asker, Tasks
from gollamas.events import Emit
from gollamas.fleet.view import View


class Duty(NamedTuple):
    """The view that it writes into, what asks servers, where its tasks run, who hears of events."""

    view: View
    ask: Asker
    tasks: Tasks
    emit: Emit
