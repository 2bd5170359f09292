"""Generated from the contract by tools/generate_contract.py."""
