"""What we know of the servers, and what we decide, without I/O."""
