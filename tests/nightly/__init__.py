"""Every night, by itself, safely: nights, their faults, what they tell and what they keep quiet."""
