"""Figures of image classifiers."""
