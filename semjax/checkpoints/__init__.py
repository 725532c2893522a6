"""PyTorch checkpoints of the networks in `semjax.models`, and our own on disk: see `rules` for the tables."""
