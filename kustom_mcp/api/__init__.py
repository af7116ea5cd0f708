"""Order Management API client: knows HTTP, has never heard of MCP.

`client` reads and writes; `endpoint` and `endpoints` say where; `models` is what comes back, `field_limits` what may
be sent; `order_rules` is what an order's state allows; `errors` is everything that can go wrong.
"""
