"""What the tools of the catalogue share."""
