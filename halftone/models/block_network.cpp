#include "halftone/models/block_network.h"

#include <utility>

#include "halftone/nn/recompute.h"

namespace halftone::models {

at::Tensor BlockNetwork::run_block(std::vector<std::shared_ptr<torch::nn::Module>> modules,
                                   const at::Tensor& x,
                                   std::function<at::Tensor(const at::Tensor&)> run,
                                   const std::vector<at::Tensor>& others) const {
  if (!recomputes_) return run(x);
  return nn::recompute(std::move(run), x, std::move(modules), others);
}

bool recompute_blocks(torch::nn::Module& network) {
  bool found = false;
  network.apply([&found](torch::nn::Module& module) {
    if (auto* blocks = dynamic_cast<BlockNetwork*>(&module)) {
      blocks->recompute_blocks(true);
      found = true;
    }
  });
  return found;
}

}  // namespace halftone::models
