"""The input and output of tools: arguments, schemas, results, codes, dates and cursors."""
