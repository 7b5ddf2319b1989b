"""From FHIR to non-relapse mortality after CAR T cell therapy: the pipeline, one module a step."""

__version__ = "0.1.0"
