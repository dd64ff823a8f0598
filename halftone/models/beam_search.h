// Beam search: the likeliest translation, as far as a few candidates at a time find it.
#pragma once

#include <cstdint>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/models/translator.h"

namespace halftone::models {

struct BeamOptions {
  std::int64_t beams = 4;  // 1: greedy
  // Hypotheses are ranked by their log probability over ((5 + tokens) / 6)^length_penalty, the end
  // counted (Wu et al. 2016, eq. 14); 0: by probability alone, which likes them short.
  double length_penalty = 1;
  std::int64_t start = 0, end = 0;       // tokens
  std::vector<std::int64_t> never = {};  // tokens that no translation has: padding, the unknown
  std::int64_t longest = 0;              // tokens of a translation; 0: the positions
};

// The best translation of each text, without start and end; one that does not come to an end in
// `longest` tokens is cut there. tokens, mask: as Translator::forward; call it in evaluation mode,
// without gradients. A text is done when as many hypotheses as there are beams have ended. Scores
// are summed in fp32 from logits in any format. Throws UsageError for options that make no sense.
HALFTONE_API std::vector<std::vector<std::int64_t>> beam_search(Translator& translator,
                                                                const at::Tensor& tokens,
                                                                const at::Tensor& mask,
                                                                const BeamOptions& options);

}  // namespace halftone::models
