"""Assembly: one edge put together, by constructor arguments alone.

Each layer adds one duty to the one below: `blocks` (where bytes come from), `following` (which Head is served, and what
is said of it), `answering` (the two listeners and all that stands behind them). edge/node adds the order of start and
stop. Nothing is decided here that a part could decide; what parts say to each other they say through what is handed in.
"""
