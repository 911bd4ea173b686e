"""What runs beside requests, and publishes what it sees."""
