"""The Open Inference Protocol v2 over HTTP and gRPC in front of a group: an existing client gets an agreed answer.

A process of its own above the client binding, with a client's rights and no more. It is trusted for nothing: what it
answers comes with the group's certificate, which its client can verify (docs/gateway.md).
"""
