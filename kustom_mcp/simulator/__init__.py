"""An independent, stateful implementation of Kustom's Order Management API. Imports nothing of ours.

From the rules outwards: `switches` (the open questions), `states` (tables of the possible operations), `limits` (of
request bodies), `allocation` (which capture a refund belongs to), `drafts` (an order from any part of one), `seeds`,
`demo_orders` and `crowd` (invented orders), `store` (orders, clock, keys), `reading` (an order as reads show it),
`calls` (the eighteen calls), `routes`, `app` (a request in, a response out, no I/O), `control` (the sandbox's own
endpoints), `faults` and `exchange` (a line that breaks on demand), `serve` (a port on loopback), `behaviours` (each
marked documented, observed or assumed).

It is written apart from the API client on purpose: a wrong idea about the API cannot hide by being wrong on both sides.
"""
