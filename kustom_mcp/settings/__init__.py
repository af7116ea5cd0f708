"""What an operator configures, read from the environment."""
