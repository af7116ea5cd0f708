"""What Kustom sends us: webhooks and push callbacks, taken as hints.

    events.py     what a request says: an order's id and whether it is disputed; nothing else of it is looked at
    signature.py  whether a webhook is signed
    endpoint.py   POST /hooks/kustom/<secret path>: who is answered what
    queue.py      hints are kept before the sender is answered, and the orders are read from Kustom

A hint can cause one read of one order, at a pace that all replicas share, and nothing else: nothing is acknowledged,
and no field of an event reaches the book, but that a verified dispute.* event marks its order as disputed.
"""
