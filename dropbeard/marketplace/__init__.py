"""What groups sell and how good they are, worked out from ledgers, certificates and signed cards alone."""
