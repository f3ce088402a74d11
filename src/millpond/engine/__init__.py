"""The flow state machine: pure, without clock, I/O, database or ids of its own."""
