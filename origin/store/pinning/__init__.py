"""Pinning services: other people's IPFS nodes that keep what we publish, asked by the IPFS Pinning Service API.

Here live the services (service), their wire (answer, client), what we want of each (wanted, table), the work until it
is so (follower), and the whole of it (keeper). Not here: HTTP of ours (origin/api/services), or the store under the
origin: a pinning service keeps copies beside it, and nothing is ever read back from one.
"""
