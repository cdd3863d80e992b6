"""Kubernetes' controllers, each written as a user would write one: on informers, a work queue and a client, and on nothing else.

Every controller is two files. One decides: a pure function from what was seen to what is to be written. The other acts: it
reads its informers, calls that function, and makes the writes. Rates, delays and limits are options.
"""
