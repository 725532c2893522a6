"""The parts of scripts/sample.py: what there is to do, conditions in, videos out, the loop between them."""
