"""The web page of a node: a process of its own that reads, and neither signs, writes nor decides (``dropbeard web``).

It knows the node by its status socket, and by files: genesis, ledger, certificates that clients disclosed. It opens no
key. ``server`` is the only module with a socket, ``sampling`` and ``archive`` have a thread each, ``site`` turns a
request into a reply, everything else is text and geometry.
"""
