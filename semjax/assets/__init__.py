"""Bundled package data: the sample clip, tables and, later, weights."""
