"""Exported models, held against fairseq."""
