#include "halftone/tasks/recommender_learner.h"

#include <ATen/Functions.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/metrics/ranking.h"
#include "halftone/report/text_table.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kTop = 10, kCutoff = 10;
constexpr double kFewestStars = 1, kMostStars = 5;

Json numbers_json(const std::vector<std::int64_t>& numbers) {
  Json list = Json::array();
  for (const std::int64_t number : numbers) list.push_back(number);
  return list;
}

std::vector<std::int64_t> numbers_of(const Json& list) {
  std::vector<std::int64_t> numbers;
  for (const Json& number : list.as_array()) numbers.push_back(number.as_int());
  return numbers;
}

class RatingMeter : public Meter {
 public:
  RatingMeter(models::Recommender& model, std::vector<metrics::MetricKind> kinds)
      : model_(model), kinds_(std::move(kinds)) {}

  void add(const data::Batch& batch) override {
    const at::Tensor given = model_.forward(batch.input).to(at::kDouble);
    const at::Tensor target = batch.target.to(at::kDouble);
    const at::Tensor error = given.clamp(kFewestStars, kMostStars) - target;
    const std::int64_t count = target.size(0);
    loss_.add((given - target).square().mean().item<double>(), count);
    squared_.add(error.square().mean().item<double>(), count);
    absolute_.add(error.abs().mean().item<double>(), count);
  }
  std::int64_t samples() const override { return loss_.samples(); }
  double loss() const override { return loss_.mean(); }
  std::vector<metrics::MetricValue> values() const override {
    return {{kinds_[0], std::sqrt(squared_.mean())}, {kinds_[1], absolute_.mean()}};
  }

 private:
  models::Recommender& model_;
  std::vector<metrics::MetricKind> kinds_;
  metrics::RunningLoss loss_, squared_, absolute_;
};

at::Tensor pair_loss(const at::Tensor& logits, const at::Tensor& target) {
  return at::binary_cross_entropy_with_logits(logits.to(at::kFloat), target.to(at::kFloat));
}

class RankingMeter : public Meter {
 public:
  RankingMeter(models::Recommender& model, std::vector<metrics::MetricKind> kinds)
      : model_(model), kinds_(std::move(kinds)) {}

  void add(const data::Batch& batch) override {
    const at::Tensor logits = model_.forward(batch.input).to(at::kFloat);  // (N, 1 + others)
    loss_.add(pair_loss(logits, batch.target).item<double>(), logits.size(0));
    const at::Tensor right = logits.narrow(1, 0, 1);
    // Equal scores and NaN rank before: a constant network is not right.
    const at::Tensor places =
        logits.narrow(1, 1, logits.size(1) - 1).lt(right).logical_not().sum(1).cpu();
    for (std::int64_t i = 0; i < places.size(0); ++i) ranking_.add(places[i].item<std::int64_t>());
  }
  std::int64_t samples() const override { return loss_.samples(); }
  double loss() const override { return loss_.mean(); }
  std::vector<metrics::MetricValue> values() const override {
    return {{kinds_[0], ranking_.hit_ratio()}, {kinds_[1], ranking_.ndcg()}};
  }

 private:
  models::Recommender& model_;
  std::vector<metrics::MetricKind> kinds_;
  metrics::RunningLoss loss_;
  metrics::RankingMetrics ranking_{kCutoff};
};

}  // namespace

std::string FilmFacts::to_json() const {
  Json json;
  json["mean"] = mean;
  json["users"] = numbers_json(users);
  json["films"] = numbers_json(films);
  json["titles"] = Json::array();
  for (const std::string& title : titles) json["titles"].push_back(title);
  json["seen"] = Json::array();
  for (const auto& list : seen) json["seen"].push_back(numbers_json(list));
  return json.dump() + "\n";
}

FilmFacts FilmFacts::from_json(const std::string& text, const std::string& where) {
  const Json json = Json::parse(text, where);
  FilmFacts facts;
  facts.mean = json.at("mean").as_double();
  facts.users = numbers_of(json.at("users"));
  facts.films = numbers_of(json.at("films"));
  for (const Json& title : json.at("titles").as_array()) facts.titles.push_back(title.as_string());
  for (const Json& list : json.at("seen").as_array()) facts.seen.push_back(numbers_of(list));
  if (facts.titles.size() != facts.films.size() || facts.seen.size() != facts.users.size()) {
    throw Error("lists of different lengths", "a title per film, a list of films per user", where);
  }
  return facts;
}

RecommenderLearner::RecommenderLearner(std::shared_ptr<models::Recommender> model, FilmFacts facts)
    : model_(std::move(model)), facts_(std::move(facts)) {}

at::Tensor RecommenderLearner::loss(const data::Batch& batch) {
  const at::Tensor scores = model_->forward(batch.input);
  RECORD_USER_SCOPE("loss");
  if (model_->options().name == "neumf") return pair_loss(scores, batch.target);
  return at::mse_loss(scores.to(at::kFloat), batch.target.to(at::kFloat));
}

std::vector<metrics::MetricKind> RecommenderLearner::metrics() const {
  if (model_->options().name == "neumf") {
    return {{.name = "hr_at_10", .title = "HR@10", .share = true},
            {.name = "ndcg_at_10", .title = "NDCG@10"}};
  }
  return {{.name = "rmse", .title = "RMSE", .unit = "stars", .higher_is_better = false},
          {.name = "mae", .title = "MAE", .unit = "stars", .higher_is_better = false}};
}

std::unique_ptr<Meter> RecommenderLearner::meter() {
  if (model_->options().name == "neumf") {
    return std::make_unique<RankingMeter>(*model_, metrics());
  }
  return std::make_unique<RatingMeter>(*model_, metrics());
}

std::int64_t RecommenderLearner::user_number(const std::string& id) const {
  const auto number = parse_int(id);
  const auto found = number ? std::lower_bound(facts_.users.begin(), facts_.users.end(), *number)
                            : facts_.users.end();
  if (found == facts_.users.end() || *found != *number) {
    throw UsageError("user " + quote(id),
                     "the number of one of the " + std::to_string(facts_.users.size()) +
                         " users of the training ratings",
                     "predict");
  }
  return found - facts_.users.begin();
}

Answers RecommenderLearner::predict(const std::vector<std::string>& inputs,
                                    const PredictOptions& options) {
  const auto films = static_cast<std::int64_t>(facts_.films.size());
  Answers answers;
  answers.json = Json::array();
  report::TextTable table({"user", "score", "film"});
  for (const std::string& input : inputs) {
    const std::int64_t user = user_number(input);
    const auto& seen = facts_.seen[static_cast<std::size_t>(user)];
    const at::Tensor pairs = at::stack({at::full({films}, user, at::kLong), at::arange(films)}, 1);
    at::Tensor scores = model_->forward(pairs).to(at::kDouble);
    for (const std::int64_t film : seen) scores[film].fill_(-INFINITY);
    const auto unseen = films - static_cast<std::int64_t>(seen.size());
    const auto [best, numbers] = scores.topk(std::min(options.top.value_or(kTop), unseen));
    Json entry;
    entry["user"] = facts_.users[static_cast<std::size_t>(user)];
    entry["films"] = Json::array();
    for (std::int64_t i = 0; i < best.size(0); ++i) {
      const auto number = static_cast<std::size_t>(numbers[i].item<std::int64_t>());
      char score[32];
      std::snprintf(score, sizeof score, "%.3f", best[i].item<double>());
      table.add_row({i == 0 ? input : "", score, facts_.titles[number]});
      Json film;
      film["film"] = facts_.films[number];
      film["title"] = facts_.titles[number];
      film["score"] = best[i].item<double>();
      entry["films"].push_back(std::move(film));
    }
    answers.json.push_back(std::move(entry));
  }
  answers.text = table.str();
  return answers;
}

}  // namespace halftone::tasks
