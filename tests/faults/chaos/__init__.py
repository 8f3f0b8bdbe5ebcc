"""The chaos run: a ring under random faults, with publishers and visitors, and a checker that believes nobody.

    python -m tests.faults.chaos --seed 7 --seconds 12      # one run; --runs N goes on with seeds 8, 9, …
    python -m tests.faults.chaos --seed 7 --plan            # what that run will do, without doing it

One seed makes the whole plan (schedule): which faults befall whom and when, what is published, rolled back, purged and
pinned, what sites are made of (sites). The machine adds its own timing: a seed replays the plan, not the interleaving.

    schedule   the plan: a pure function of the seed            sites     the bytes of every release, out of the seed
    nodes      real processes                                   ring      origin, edges, and the wires between them
    faults     what each kind does (disks: to a disk; hop: to what nodes tell each other)
    publishers who changes sites                                visitors  who reads them (wire: HTTP on a raw socket)
    history    what was published, and what of it was acknowledged
    checker    the invariants, judged from history alone        audit     the quiet at the end: what must be so again
    run        one run, from its first process to its last      main      the command line

The checker shares no code with Rim: it compares bytes with bytes that it has itself, and hashes with hashlib.
"""
