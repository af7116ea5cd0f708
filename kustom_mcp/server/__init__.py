"""The MCP server: handlers, tool list, prompts, resources and tracing."""
