"""DNS on the wire: UPDATE, questions and transfers, signed, and the embedded server.
One of the two places that touch the network; it knows nothing of the store, and decides nothing.
"""
