"""Offline proof and aggregation: what a certificate shows to anyone who holds the genesis (rules 5.4 to 5.6)."""
