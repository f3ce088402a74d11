"""The ground floor: errors, clock, ids, settings, sealing and logging. Imports nothing of the project."""
