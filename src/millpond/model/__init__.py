"""What the domain is made of: structs, closed sets, transition tables, and the shapes on the wire."""
