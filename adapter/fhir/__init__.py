"""Speak to a FHIR R4 server: identify, ask, page, export, and never lose a row quietly."""
