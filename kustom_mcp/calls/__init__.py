"""One tool call: policy, reading, confirmation, writing, journal, and the sentences of its results."""
