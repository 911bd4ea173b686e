"""What the user told us, as one frozen value."""
