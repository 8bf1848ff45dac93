"""What the clouds' APIs do to a client on a bad day, by a schedule that one number gives.

schedule.py  a seed -> which calls meet which fault, and how often; pure
refusals.py  a fault -> the answer, in each cloud's words; pure
injector.py  the interceptor (``lab/calls.py``) that follows a schedule
"""
