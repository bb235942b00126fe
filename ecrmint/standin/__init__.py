"""A stand-in cloud: a small server that speaks the protocols of AWS, Google and a registry, for the demo and the tests.

It checks what the real ones check where that is cheap (signatures, trust, external ids, expiry), and answers 501 to
whatever it does not know, so that a new kind of call can't pass unseen. It holds made-up identities alone, keeps
nothing, and binds loopback only. ``cloud.Cloud`` is its state, ``server.StandinServer`` runs it.
"""
