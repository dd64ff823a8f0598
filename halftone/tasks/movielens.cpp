// Recommendation on MovieLens-100k, split "ua": ten ratings of each user are held out.
#include "halftone/data/sets/movielens.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/data/interactions.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/recommender_learner.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {
namespace {

constexpr const char* kFilmsFile = "films.json";
// He et al. 2017, 4.1 and 4.4: a held-out film is ranked among 99 others, trained against 4.
constexpr std::int64_t kRankedOthers = 99, kTrainedOthers = 4;

std::vector<data::Interaction> interactions_of(const std::vector<data::Rating>& ratings) {
  std::vector<data::Interaction> result;
  for (const auto& each : ratings) result.push_back({each.user, each.item, each.stars});
  return result;
}

FilmFacts facts_of(const data::MovieLens& set) {
  FilmFacts facts;
  facts.users = set.users;
  facts.seen.resize(set.users.size());
  for (const auto& film : set.items) {
    facts.films.push_back(film.id);
    facts.titles.push_back(film.title);
  }
  for (const auto& rating : set.train) {
    facts.mean += static_cast<double>(rating.stars) / static_cast<double>(set.train.size());
    facts.seen[static_cast<std::size_t>(rating.user)].push_back(rating.item);
  }
  for (auto& list : facts.seen) std::sort(list.begin(), list.end());
  return facts;
}

class MovieLensData : public TaskData {
 public:
  explicit MovieLensData(const data::MovieLens& set)
      : train_(interactions_of(set.train)),
        test_(interactions_of(set.test)),
        users_(static_cast<std::int64_t>(set.users.size())),
        films_(static_cast<std::int64_t>(set.items.size())),
        facts_(facts_of(set).to_json()) {}

  std::shared_ptr<data::BatchSource> train(const RunConfig& config, Learner&) const override {
    if (config.model == "mf") {
      return train_loader(std::make_shared<data::RatingBatches>(train_), config, "ratings");
    }
    const auto taken = std::make_shared<data::TakenItems>(train_, users_, films_);
    return train_loader(std::make_shared<data::SampledPairs>(train_, taken, kTrainedOthers, false),
                        config, "ratings");
  }

  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch,
                                                Learner& learner) const override {
    if (learner.metrics()[0].name == "rmse") {
      return evaluation_loader(std::make_shared<data::RatingBatches>(test_), batch);
    }
    std::vector<data::Interaction> all = train_;
    all.insert(all.end(), test_.begin(), test_.end());
    const auto taken = std::make_shared<data::TakenItems>(all, users_, films_);
    return evaluation_loader(
        std::make_shared<data::SampledPairs>(test_, taken, kRankedOthers, true), batch);
  }

  Assets assets() const override { return {{kFilmsFile, facts_}}; }

 private:
  std::vector<data::Interaction> train_, test_;
  std::int64_t users_, films_;
  std::string facts_;
};

class MovieLensTask : public Task {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{
        .name = "movielens",
        .summary = "stars that 943 users gave to 1,682 films; ten ratings of each held out",
        .noun = "ratings",
        .models = {"mf", "neumf"},
        .source = "ml-100k.zip of grouplens.org/datasets/movielens/100k, unpacked",
        .files = {{"ua.base", "67b5bcdb380c29f85d56a012ecd88612ae020f30a6730d117a334ee8203b91f2"},
                  {"ua.test", "d0497e202417720f57a184ec8c66be2d1afa4ff41bb53787c57b28d6bf79bc42"},
                  {"u.item", "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701"}},
        .time = "mf some seconds, neumf half a minute (two cores with AVX-512)",
        .assets = {kFilmsFile}};
    return facts;
  }

  TaskDefaults defaults(const std::string& model) const override {
    const Recipe recipe{.optimizer = OptimizerKind::adamw,
                        .schedule = ScheduleKind::warm_up_cosine,
                        .warm_up = 0.05,
                        .min_factor = 0.1};
    if (model == "neumf") return {12, 256, 2e-3, 0.01, recipe};
    return {15, 512, 5e-3, 0.5, recipe};
  }

  std::filesystem::path find_data() const override {
    const auto directory = cache_directory("ml-100k");
    if (std::filesystem::exists(directory)) return directory;
    throw Error("no MovieLens-100k at " + directory.string(),
                "--data with the unpacked directory of ml-100k.zip (from "
                "https://grouplens.org/datasets/movielens/100k)");
  }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                       const OpenOptions&) const override {
    return std::make_shared<MovieLensData>(data::movielens(data));
  }

  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override {
    FilmFacts known = FilmFacts::from_json(assets.at(kFilmsFile), kFilmsFile);
    const models::RecommenderOptions options{.name = config.model,
                                             .users = static_cast<std::int64_t>(known.users.size()),
                                             .items = static_cast<std::int64_t>(known.films.size()),
                                             .mean = known.mean,
                                             .seed = config.seed,
                                             .init = config.policy.init};
    return std::make_shared<RecommenderLearner>(models::make_recommender(options),
                                                std::move(known));
  }
};

}  // namespace

const Task& movielens_task() {
  static const MovieLensTask task;
  return task;
}

}  // namespace halftone::tasks
