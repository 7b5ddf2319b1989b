"""Odd bytes of every kind, and what must hold of each reader whatever the bytes are."""
