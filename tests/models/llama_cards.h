#pragma once
// Golden cards of models with the names of Hugging Face's Llama, checked on our GPT: its tensors
// are filled as if they had those names.

#include <string>

#include "residua/models/golden.h"
#include "residua/models/language/gpt.h"

namespace residua {

// Of tests/golden/llama/NAME.json, with the connection that the card is about.
CardResult check_llama_card(const std::string& name, const Component& connection);

}  // namespace residua
