"""The records that outlive a call: intents, spending limits, the audit log and the database."""
