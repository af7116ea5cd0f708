"""What one running server holds, from its start to its end."""
