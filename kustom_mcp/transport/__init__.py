"""The ways in: stdio, Streamable HTTP with its access tokens, and webhooks."""
