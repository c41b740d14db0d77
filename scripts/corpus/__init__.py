"""Data that needs no download: the generated German-English corpus."""
