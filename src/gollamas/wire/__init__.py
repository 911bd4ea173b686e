"""Bytes of HTTP/1.1 and JSON, without I/O."""
