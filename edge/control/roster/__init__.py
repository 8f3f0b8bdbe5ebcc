"""Roster: who is in the ring, learned and kept up to date.

    roster     the picture of the others, and the Ring it becomes
    listed     a list that the operator wrote
    addressed  members behind addresses of DNS (addresses asks DNS)
    registered members in the origin's register
    asking     one member's word for itself
    probes     questions to those who are out, off the visitors' path
    kept       the last good list, on disk

Not here: who owns what (edge/peers/ring), who is well (edge/peers/members).
"""
