"""Dense search of hmem_fast beside other libraries: one process, the same data, one thread each, alternating rounds.

``python -m benches.peers --help`` from the root of the repository. The first run on real texts encodes about 100,000 of
them with one thread, which takes a quarter of an hour, and keeps the vectors in the cache
(`hmem_fast.encode.cache_dir`).
"""
