"""The schema of rim.toml: one table of keys. Its reader, its JSON schema, its page in docs/ and the file that
`rim init` writes are all made from it.

Here lives what may stand in rim.toml. Not here: finding and reading one (rim/project), or what comes of it (rim/rules).
"""
