"""The IPFS gateway of an edge: content by its hash, on the gateway hosts, from the same memory and disk as sites.

    host (hosts) → what is asked for (wanted, formats) → name (names) → may it be shown (access) → the way down (found)
    → one answer (files, listing, blocks, cars, tars, records, pages), or what stands in for a missing path (redirects)

`app` puts them in this order. Not here: sites (edge/site), the pure part (content), where blocks come from
(edge/cache).
Specs: https://specs.ipfs.tech/http-gateways/
"""
