"""What each URL of Ollama means."""
