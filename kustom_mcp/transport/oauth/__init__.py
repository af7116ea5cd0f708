"""Access tokens: their check, and the rights that they give."""
