"""Millpond: a self-hosted engine for scripts and flows that remember."""

__version__ = "0.1.0"
