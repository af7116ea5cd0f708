"""Webhooks and push callbacks of Kustom, taken as hints.

    events.py     reads an order's id from a request, and whether it is disputed; nothing else of it is used
    signature.py  checks the signature of a webhook
    endpoint.py   POST /hooks/kustom/<secret path>: the answer to each request
    queue.py      stores hints before the sender is answered, then reads the orders from Kustom

A hint can cause one read of one order, at a pace that all replicas share, and nothing else: nothing is acknowledged,
and no field of an event reaches the book, but that a verified dispute.* event marks its order as disputed.
"""
