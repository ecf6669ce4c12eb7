"""Tables, named queries and migrations: the only SQL of the project.

The entry point owns the transaction: functions here take a connection and never commit.
"""
