"""The worker: claims jobs, runs them in slots, and records how they end."""
