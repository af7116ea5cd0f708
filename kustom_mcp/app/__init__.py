"""The contents of one running server, from its start to its end."""
