"""The verifier for browsers: one static page that checks certificates from disk, without a network."""
