// Recommenders as Learners: ratings that are foretold, and rankings of films.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/models/recommender.h"
#include "halftone/tasks/learner.h"

namespace halftone::tasks {

// What is known of users and films beside the network; kept with a run.
struct FilmFacts {
  double mean = 0;                              // of the training ratings
  std::vector<std::int64_t> users, films;       // ids as people know them, by number
  std::vector<std::string> titles;              // of films, by number
  std::vector<std::vector<std::int64_t>> seen;  // film numbers of each user in training

  std::string to_json() const;
  static FilmFacts from_json(const std::string& text, const std::string& where);
};

// mf: squared error of ratings; RMSE and MAE of ratings held to 1 to 5. neumf: cross entropy of
// pairs that are there against pairs that are not; hit ratio and NDCG at 10 of each held-out film
// among those drawn beside it. Batches as data::RatingBatches and data::SampledPairs give them.
class RecommenderLearner : public Learner {
 public:
  RecommenderLearner(std::shared_ptr<models::Recommender> model, FilmFacts facts);

  std::shared_ptr<torch::nn::Module> module() const override { return model_; }
  at::Tensor loss(const data::Batch& batch) override;
  std::vector<metrics::MetricKind> metrics() const override;
  std::unique_ptr<Meter> meter() override;

  // inputs: ids of users; the options.top (10) films of the highest score that they have not rated.
  std::vector<std::string> predict_options() const override { return {"top"}; }
  Answers predict(const std::vector<std::string>& inputs, const PredictOptions& options) override;

 private:
  std::int64_t user_number(const std::string& id) const;

  std::shared_ptr<models::Recommender> model_;
  FilmFacts facts_;
};

}  // namespace halftone::tasks
