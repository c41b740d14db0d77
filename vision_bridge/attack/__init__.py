"""Adversarial evaluation of image classifiers, by the attacks of Foolbox."""
