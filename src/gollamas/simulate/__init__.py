"""An Ollama server without a model."""
