"""Running the notebooks by somebody else's scheduler, where one machine is not enough: a module for each of them.

A scheduler lives in an environment of its own. What is here uses Python's own library and the scheduler's packages.
"""
