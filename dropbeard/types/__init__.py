"""Plain values that everything else speaks of: ids, statements, lanes, blocks, certificates, the group.

Nothing here reads a clock, opens a file or a socket, or knows a key. What is hashed or signed has one fixed
little-endian layout without padding, written out in the docstring of the class that owns it (rule 1.5).
"""
