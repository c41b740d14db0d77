"""Adversarial evaluation of image classifiers, with Foolbox's attacks."""
