"""The commands, a file for each thing they are about. Each reads flags, asks the rooms below, and prints one result.

Not here: how any of it is done. A command imports what it needs when it runs, never before: typing `rim` must not pay
for the commands that were not typed.
"""
