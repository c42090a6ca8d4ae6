"""Layers that patches put into a model."""
