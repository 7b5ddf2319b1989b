"""Synthetic hospital and demo FHIR endpoint; no real person anywhere."""
