"""The source of an answer that a task makes."""

from gollamas.net.downstream import ClientConnection


class TaskSource:
    """Ends with its task: that is cancelled when the client leaves, and when the grace period is over."""

    def __init__(self, client: ClientConnection) -> None:
        self._client = client
        self.is_cut = False  # the grace period is over

    def pause(self) -> None:
        """Whoever sends looks whether the client reads."""

    def resume(self) -> None:
        """Whoever sends looks again."""

    def check(self, now: float) -> None:
        """The client's own clocks do; what the task waits for has others."""

    def client_left(self) -> None:
        """The task is cancelled, which ends this."""

    def shut_down(self) -> None:
        """Cancel the task, which then knows why."""
        self.is_cut = True
        self._client.cancel()
