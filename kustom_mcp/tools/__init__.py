"""The tools of the catalogue, and the code that they share."""
