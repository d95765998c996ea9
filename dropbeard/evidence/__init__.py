"""What convicts a replica: signed statements that anyone checks alone with the genesis (rules 6.2, 8.1).

``kinds`` are the files, byte by byte; ``justification`` says when a header may follow its parent, for voters and
judges alike; ``judge`` decides whether a file convicts; ``pairs`` finds culprits among the statements that somebody
holds. No honest replica is ever convicted: each kind is something that the rules forbid its signer.
"""
