"""Pictures as people have them -> uint8 arrays: decoding, the cache, what is read ahead."""
