"""kustom-mcp: an MCP server for Kustom Checkout's Order Management API."""

__version__ = "0.2.0"
