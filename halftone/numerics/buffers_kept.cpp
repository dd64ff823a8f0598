#include "halftone/numerics/buffers_kept.h"

namespace halftone::numerics {

void copy_tensors(const std::vector<at::Tensor>& from, std::vector<at::Tensor>& to) {
  const at::NoGradGuard no_grad;
  to.resize(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    const bool fits = to[i].defined() && to[i].scalar_type() == from[i].scalar_type() &&
                      to[i].sizes() == from[i].sizes() && to[i].device() == from[i].device();
    if (fits) {
      to[i].copy_(from[i]);
    } else {
      to[i] = from[i].detach().clone();
    }
  }
}

}  // namespace halftone::numerics
