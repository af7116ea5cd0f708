"""Programs that measure, runnable by anyone with the development environment; README.md has the latest figures."""
