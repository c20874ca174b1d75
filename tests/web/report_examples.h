#pragma once
// Reports of made-up runs, for the tests of the page.

#include "residua/train/report.h"

namespace residua {

// Ten classes, every part filled, some losses not finite.
Report typical_report();

// A title and nothing else.
Report bare_report();

// Two classes, one epoch, and text that tries to break out of the page.
Report hostile_report();

// 1000 classes with a dense confusion matrix, a million steps, and many large pictures.
Report huge_report();

}  // namespace residua
