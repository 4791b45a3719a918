"""The same arithmetic as machine code, for float32 and bfloat16 in the memory of the processor.

numba compiles each kernel once per machine (and keeps the result beside the source). A kernel works on a range of
tokens, features or rows; `shared_out` gives the ranges to the threads. Every number is written by one thread that adds
in a fixed order, so the number of threads changes nothing. bfloat16 is passed as its bits (uint16), since numpy has no
such type, and sums are float32.
"""
