"""Kubo as the store of what releases hold. `keeping` is the store; `rpc` speaks with Kubo; `journal` remembers what it
was asked to pin; `batches` are the pins that hold blocks until a release does."""
