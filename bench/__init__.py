"""The bench: what a proxy costs beside HAProxy, in one run. `bench/measure --help` says how."""
