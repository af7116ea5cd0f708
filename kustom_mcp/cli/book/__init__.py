"""`kustom-mcp book import | sync | status | forget`: the order book from the command line, also while servers run."""
