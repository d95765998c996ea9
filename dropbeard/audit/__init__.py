"""What an auditor does with a node's ledger, without any key (rule 8.2)."""
