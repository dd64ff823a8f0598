// GradScaler's state_dict, which Python's torch.amp.GradScaler reads and writes, too.
#include "halftone/base/error.h"
#include "halftone/ops/state_reader.h"
#include "halftone/scaling/grad_scaler.h"

namespace halftone {

StateDict GradScaler::state_dict() const {
  StateDict state = make_state_dict();
  scale_.save(state);
  state.insert("skipped_steps", skipped_steps_);
  state.insert("_skipped_in_a_row", skipped_in_a_row_);
  state.insert("_scale_before_row", scale_before_row_);
  return state;
}

void GradScaler::load_state_dict(const StateDict& state) {
  if (state.empty()) {
    if (!enabled()) return;
    throw Error("an empty state, which a disabled torch.amp.GradScaler writes",
                "that of a scaler that scales", "grad_scaler");
  }
  StateReader read(state, "grad_scaler");
  const LossScale scale = scale_.loaded(read);
  // Python's has none of these.
  const std::int64_t skipped = read.has("skipped_steps") ? read.integer("skipped_steps") : 0;
  const std::int64_t row = read.has("_skipped_in_a_row") ? read.integer("_skipped_in_a_row") : 0;
  const double before =
      read.has("_scale_before_row") ? read.number("_scale_before_row") : scale.value();
  read.finish();

  scale_ = scale;
  skipped_steps_ = skipped;
  skipped_in_a_row_ = row;
  scale_before_row_ = before;
  optimizers_.clear();
  updated_ = false;
}

}  // namespace halftone
