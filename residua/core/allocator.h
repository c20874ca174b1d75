#pragma once
// The C library's allocator, set for programs that train.

namespace residua {

// A training step allocates and frees the same big blocks again and again. By default glibc maps
// and unmaps each of them, so every step touches every page for the first time (a fault and a
// cleared page for each 4 KiB). After this call freed blocks stay with the process and are used
// again. Memory once used is not given back to the system before the process ends, so this is for a
// program to decide: the library never calls it. Call it first in main(). Does nothing with other C
// libraries.
void tune_allocator();

}  // namespace residua
