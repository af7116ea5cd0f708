"""What must be remembered: intents, spending limits, the audit log and the database."""
