#include "halftone/data/batch.h"

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone::data {

const at::Tensor& Batch::at(const std::string& name) const {
  const auto found = extra.find(name);
  if (found != extra.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [each, tensor] : extra) names.push_back(each);
  throw Error("no " + quote(name), names.empty() ? "no extra tensor" : join(names), "batch");
}

}  // namespace halftone::data
