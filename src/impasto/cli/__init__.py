"""Command line. A command parses, calls one function, prints; nothing imports this package."""
