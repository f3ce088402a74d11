"""The Python runtime: dependencies and environments, and the processes that run scripts in them."""
