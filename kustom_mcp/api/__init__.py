"""The client of the Order Management API. It knows HTTP and has never heard of MCP.

`client` reads and writes; `endpoint` and `endpoints` say where; `models` are the answers, `field_limits` the limits of
request bodies; `order_rules` holds the operations that an order's state allows; `errors` is the tree of errors.

Marks say where a fact is from: K Kustom's description, KL Klarna's of the same API, A pages of Kustom's help, C code of
others that talks to Kustom.
"""
