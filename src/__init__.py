"""The Python side of the Autonomous DevOps Platform (see autonomous_engine).

The engine itself is written in C; its sources share this folder.
"""
