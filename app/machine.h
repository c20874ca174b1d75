#pragma once
// Facts about the machine that need no libtorch, as JSON for `doctor`.

#include "residua/core/json.h"

namespace residua::app {

Json cpu_facts();     // model, processors, features: name -> bool
Json thread_facts();  // count, reason
Json memory_facts();  // total, available, cgroup limit (0: none), in bytes
Json data_facts();    // folders that data sets are looked for in, and the writable cache

}  // namespace residua::app
