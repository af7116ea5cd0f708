"""Putting the server into a host."""
