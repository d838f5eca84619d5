"""How records are made and kept: tables with their provenance, on one machine or on many."""
