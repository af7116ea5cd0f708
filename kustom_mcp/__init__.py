"""kustom-mcp: an MCP server for Kustom Checkout's Order Management API."""

__version__ = "0.1.0"
