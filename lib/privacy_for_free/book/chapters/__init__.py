"""The analysis of each chapter, one module for one notebook: its tables, figures, numbers and verdicts."""
