"""Estimates with their intervals: means, differences, rates and slopes."""
