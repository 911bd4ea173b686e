"""The second port: metrics, health and state."""
