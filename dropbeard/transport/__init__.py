"""ZeroMQ sockets: CURVE between nodes and clients, ipc to the engine. Frames in, frames out, nothing lost silently."""
