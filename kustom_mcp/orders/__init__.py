"""An order as a model and a person see it: facts, typed text, lines and payouts."""
