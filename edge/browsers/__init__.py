"""What an edge makes for browsers when they ask: its own paths on a site's hosts, manifests, differences.

Not here: what the scripts and proofs say (edge/site/browser, pure), which base a digest names (edge/site/delta), files
themselves (edge/app).
"""
