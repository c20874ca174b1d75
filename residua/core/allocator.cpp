#include "residua/core/allocator.h"

#include <malloc.h>

namespace residua {

void tune_allocator() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX,
          0);  // from the heap, however big (the mmap threshold itself cannot exceed 32 MB)
  mallopt(M_TRIM_THRESHOLD, -1);  // whose top is never given back
  mallopt(M_TOP_PAD, 64 << 20);   // and grows in few steps
#endif
}

}  // namespace residua
