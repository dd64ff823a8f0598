#include "halftone/models/beam_search.h"

#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone::models {
namespace {

constexpr double kNoScore = -std::numeric_limits<double>::infinity();

using Tokens = std::vector<std::int64_t>;

const BeamOptions& checked_beams(const BeamOptions& o, const TranslatorOptions& translator) {
  const auto is_token = [&](std::int64_t token) {
    return token >= 0 && token < translator.vocabulary;
  };
  if (o.beams < 1) throw UsageError(std::to_string(o.beams), "1 or more", "beam search, beams");
  if (!is_token(o.start) || !is_token(o.end) ||
      !std::all_of(o.never.begin(), o.never.end(), is_token)) {
    throw UsageError("a token that there is not",
                     "0 to " + std::to_string(translator.vocabulary - 1), "beam search");
  }
  if (o.longest < 0 || o.longest > translator.positions) {
    throw UsageError(std::to_string(o.longest),
                     "0 to the " + std::to_string(translator.positions) + " positions",
                     "beam search, longest");
  }
  if (!std::isfinite(o.length_penalty)) {
    throw UsageError(format_number(o.length_penalty), "a number", "beam search, length_penalty");
  }
  return o;
}

// One text's search.
struct Search {
  std::size_t place = 0;  // among the texts
  std::vector<Tokens> said;
  std::vector<double> scores;
  Tokens best;
  double best_score = kNoScore;
  std::int64_t ended = 0;
};

struct Candidate {
  double score;
  std::int64_t beam, token;
};

class Searches {
 public:
  Searches(const BeamOptions& options, std::size_t texts) : options_(options), best_(texts) {
    for (std::size_t i = 0; i < texts; ++i) {
      Search search;
      search.place = i;
      search.said.resize(static_cast<std::size_t>(options.beams));
      search.scores.assign(search.said.size(), kNoScore);
      search.scores[0] = 0;  // the others would be the same
      running_.push_back(std::move(search));
    }
  }

  bool done() const { return running_.empty(); }

  at::Tensor last_tokens() const {
    const auto tokens = at::full(shape(), options_.start, at::kLong);
    auto* out = tokens.mutable_data_ptr<std::int64_t>();
    for (const Search& search : running_) {
      for (const Tokens& said : search.said) {
        if (!said.empty()) *out = said.back();
        ++out;
      }
    }
    return tokens;
  }

  // (N,K,1), fp32
  at::Tensor scores() const {
    const auto scores = at::zeros(shape(), at::kFloat);
    auto* out = scores.mutable_data_ptr<float>();
    for (const Search& search : running_) {
      out = std::transform(search.scores.begin(), search.scores.end(), out,
                           [](double score) { return static_cast<float>(score); });
    }
    return scores.unsqueeze(2);
  }

  // scores, places: (N,M), the best in order, of K * vocabulary; last: none of them goes on.
  // -> which of the N texts go on, and which of the N K beams each of theirs follows.
  std::pair<Tokens, Tokens> advance(const at::Tensor& scores, const at::Tensor& places,
                                    std::int64_t vocabulary, bool last) {
    const auto score = scores.accessor<float, 2>();
    const auto place = places.accessor<std::int64_t, 2>();
    std::pair<Tokens, Tokens> kept;
    std::vector<Search> running;
    for (std::size_t i = 0; i < running_.size(); ++i) {
      const auto row = static_cast<std::int64_t>(i);
      std::vector<Candidate> candidates;
      for (std::int64_t j = 0; j < scores.size(1); ++j) {
        candidates.push_back(
            {score[row][j], place[row][j] / vocabulary, place[row][j] % vocabulary});
      }
      const Tokens followed = follow(running_[i], candidates);
      if (last) end_all(running_[i]);
      if (last || running_[i].ended >= options_.beams || followed.empty()) {
        best_[running_[i].place] = std::move(running_[i].best);
        continue;
      }
      kept.first.push_back(row);
      for (const std::int64_t beam : followed) kept.second.push_back(row * options_.beams + beam);
      running.push_back(std::move(running_[i]));
    }
    running_ = std::move(running);
    return kept;
  }

  std::vector<Tokens> take_best() { return std::move(best_); }

 private:
  std::array<std::int64_t, 2> shape() const {
    return {static_cast<std::int64_t>(running_.size()), options_.beams};
  }

  void consider(Search& search, const Tokens& said, double score, std::size_t length) const {
    const double normalised =
        score / std::pow((5 + static_cast<double>(length)) / 6, options_.length_penalty);
    if (search.best_score != kNoScore && !(normalised > search.best_score)) return;
    search.best = said;
    search.best_score = normalised;
  }

  // Of the candidates those that end are hypotheses where they are among the first K, and the first
  // K of the others go on. -> the beam that each follows; none where no candidate goes on.
  Tokens follow(Search& search, const std::vector<Candidate>& candidates) const {
    const auto beams = static_cast<std::size_t>(options_.beams);
    std::vector<Tokens> said;
    std::vector<double> scores;
    Tokens followed;
    for (std::size_t rank = 0; rank < candidates.size() && said.size() < beams; ++rank) {
      const Candidate& candidate = candidates[rank];
      if (candidate.score == kNoScore) break;
      const Tokens& before = search.said[static_cast<std::size_t>(candidate.beam)];
      if (candidate.token == options_.end) {
        if (rank >= beams) continue;
        consider(search, before, candidate.score, before.size() + 1);
        ++search.ended;
        continue;
      }
      said.push_back(before);
      said.back().push_back(candidate.token);
      scores.push_back(candidate.score);
      followed.push_back(candidate.beam);
    }
    if (said.empty()) return {};
    while (said.size() < beams) {  // nothing follows from them
      said.push_back(said.front());
      scores.push_back(kNoScore);
      followed.push_back(followed.front());
    }
    search.said = std::move(said);
    search.scores = std::move(scores);
    return followed;
  }

  void end_all(Search& search) const {
    if (search.best_score != kNoScore) return;
    for (std::size_t i = 0; i < search.said.size(); ++i) {
      consider(search, search.said[i], search.scores[i], search.said[i].size());
    }
  }

  const BeamOptions& options_;
  std::vector<Search> running_;
  std::vector<Tokens> best_;
};

}  // namespace

std::vector<Tokens> beam_search(Translator& translator, const at::Tensor& tokens,
                                const at::Tensor& mask, const BeamOptions& options) {
  const BeamOptions& o = checked_beams(options, translator.options());
  const auto vocabulary = translator.options().vocabulary;
  const auto longest = o.longest == 0 ? translator.options().positions : o.longest;
  const auto device = tokens.device();
  const auto never = at::tensor(o.never, at::kLong).to(device);
  DecoderState state = translator.start(tokens, mask);
  Searches searches(o, static_cast<std::size_t>(tokens.size(0)));
  for (std::int64_t length = 1; !searches.done(); ++length) {
    const auto logits = translator.step(searches.last_tokens().to(device), state).to(at::kFloat);
    const auto sums =
        logits.log_softmax(2).index_fill_(2, never, kNoScore) + searches.scores().to(device);
    // Of 2 K candidates at most K end.
    const auto count = std::min(2 * o.beams, o.beams * vocabulary);
    const auto [scores, places] = sums.flatten(1).topk(count, 1);
    const auto [texts, beams] =
        searches.advance(scores.cpu(), places.cpu(), vocabulary, length == longest);
    if (searches.done()) break;
    state.select(at::tensor(texts, at::kLong).to(device), at::tensor(beams, at::kLong).to(device));
  }
  return searches.take_best();
}

}  // namespace halftone::models
