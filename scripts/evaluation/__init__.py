"""The parts of scripts/evaluate.py: clips, peers, runs, tables, the page."""
