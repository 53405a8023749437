"""Measuring strategies against each other, and showing the outcome."""
