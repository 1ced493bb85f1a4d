#include "tokenizer/jinja/budget.h"

#include "base/error.h"

namespace farthing::tokenizer::jinja {

void Budget::throw_too_much(const char* of_what, std::int64_t limit) {
  throw Error(Code::kResources, "the chat template does too much", {{"limit", limit}, {"of", of_what}},
              "the template may be broken or hostile; look at it with 'farthing inspect MODEL --template', "
              "or prompt without it: --raw");
}

}  // namespace farthing::tokenizer::jinja
