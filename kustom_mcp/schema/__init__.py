"""What goes into a tool and what comes out: arguments, schemas, results, codes, dates and cursors."""
