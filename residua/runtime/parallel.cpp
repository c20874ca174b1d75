// The only file of the room that is compiled with OpenMP.
#include "residua/runtime/parallel.h"

#include <omp.h>

#include <exception>

namespace residua {

// An exception must not leave the thread that threw it.
void run_parts(int parts, void (*call)(const void* context, int64_t part), const void* context) {
  std::exception_ptr failure;
#pragma omp parallel for num_threads(parts) schedule(static)
  for (int part = 0; part < parts; ++part) {
    try {
      call(context, part);
    } catch (...) {
#pragma omp critical(residua_run_parts)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

ThreadCount::ThreadCount(int count) : before_(omp_get_max_threads()) {
  if (count != before_) omp_set_num_threads(count);
}

ThreadCount::~ThreadCount() {
  if (omp_get_max_threads() != before_) omp_set_num_threads(before_);
}

}  // namespace residua
