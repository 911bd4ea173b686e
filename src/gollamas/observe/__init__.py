"""What is seen of the proxy from outside: log and metrics."""
