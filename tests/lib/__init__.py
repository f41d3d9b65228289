"""What the tests build on: archives, an index on the loopback, environments, frozen indexes, and the judge."""
