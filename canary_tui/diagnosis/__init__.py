"""What can go wrong between here and a database, in words. Pure: no I/O."""
