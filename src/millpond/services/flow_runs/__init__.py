"""Running flows: turns that advance them, worked out in memory and stored in one transaction."""
