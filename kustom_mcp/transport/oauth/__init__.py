"""Access tokens: what they are checked against and what they allow."""
