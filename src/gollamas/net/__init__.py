"""The only sockets and tasks."""
