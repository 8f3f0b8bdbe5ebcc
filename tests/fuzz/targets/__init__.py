"""The targets, one a file. Each holds check(data, thorough), STEPS and seeds(); see tests/fuzz/table."""
