// Multi30k: English descriptions of pictures into German (Elliott et al., VL 2016).
#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/log.h"
#include "halftone/data/pair_batches.h"
#include "halftone/data/text_batches.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/task.h"
#include "halftone/tasks/translation_learner.h"

namespace halftone::tasks {
namespace {

constexpr const char* kPiecesFile = "sentencepiece.model";
constexpr const char* kSource = "en";
constexpr const char* kTarget = "de";
constexpr std::int64_t kPieces = 8000;
// While it trains, a network is judged by the likeliest token at each place: the order of epochs is
// the same, in a quarter of the time.
constexpr std::int64_t kTrainingBeams = 1, kTestBeams = 4;

// NAME.LANGUAGE, as it is or compressed.
std::filesystem::path text_of(const std::filesystem::path& directory, const std::string& name,
                              const std::string& language) {
  const auto plain = directory / (name + "." + language);
  const auto compressed = directory / (name + "." + language + ".gz");
  return std::filesystem::exists(plain) ? plain : compressed;
}

// One of the sets.
struct Pairs {
  Pairs(const std::filesystem::path& directory, const std::string& name)
      : source(text_of(directory, name, kSource)),
        target(text_of(directory, name, kTarget)),
        all(std::make_shared<const std::vector<data::SentencePair>>(
            data::sentence_pairs(source, target))) {}

  // As the learner's network takes them; longer texts are cut, with a warning that counts them.
  std::shared_ptr<const data::PairBatches> batches(const TranslationLearner& learner) const {
    std::vector<data::TokenPair> pairs;
    std::int64_t cut = 0;
    for (const auto& pair : *all) {
      PieceTokens from = learner.tokens(pair.source, source.string());
      PieceTokens to = learner.tokens(pair.target, target.string());
      to.numbers.insert(to.numbers.begin(), learner.start());
      cut += from.cut || to.cut;
      pairs.push_back({std::move(from.numbers), std::move(to.numbers)});
    }
    if (cut > 0) {
      warn(source.string() + ": pairs cut: " + std::to_string(cut) + ", to the " +
           std::to_string(learner.positions()) + " tokens that the network takes");
    }
    return std::make_shared<data::PairBatches>(std::move(pairs));
  }

  std::filesystem::path source, target;
  std::shared_ptr<const std::vector<data::SentencePair>> all;
};

std::string learned_pieces(const Pairs& train) {
  std::vector<std::string_view> sentences;
  for (const auto& pair : *train.all) {
    sentences.push_back(pair.source);
    sentences.push_back(pair.target);
  }
  return data::train_sentence_pieces(sentences, kPieces, train.source.string());
}

class PairData : public TaskData {
 public:
  explicit PairData(const std::filesystem::path& directory)
      : train_(directory, "train"),
        val_(directory, "val"),
        test_(directory, "test_2016_flickr"),
        pieces_(learned_pieces(train_)) {}

  std::shared_ptr<data::BatchSource> train(const RunConfig& config,
                                           Learner& learner) const override {
    return train_loader(train_.batches(dynamic_cast<TranslationLearner&>(learner)), config,
                        "sentences");
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch,
                                                Learner& learner) const override {
    return judged(val_, kTrainingBeams, batch, learner);
  }
  std::shared_ptr<data::BatchSource> test(std::int64_t batch, Learner& learner) const override {
    return judged(test_, kTestBeams, batch, learner);
  }
  Assets assets() const override { return {{kPiecesFile, pieces_}}; }

 private:
  // Sentences at once: with their beams and a logit for each piece they take some 10 MB each.
  static constexpr std::int64_t kEvaluationPairs = 64;

  static std::shared_ptr<data::BatchSource> judged(const Pairs& pairs, std::int64_t beams,
                                                   std::int64_t batch, Learner& learner) {
    auto& translation = dynamic_cast<TranslationLearner&>(learner);
    translation.judge_by(pairs.all, beams);
    return evaluation_loader(pairs.batches(translation), std::min(batch, kEvaluationPairs));
  }

  Pairs train_, val_, test_;
  std::string pieces_;  // learned again each time: a second, and always the same
};

class Multi30k : public Task {
 public:
  const TaskFacts& facts() const override {
    static const TaskFacts facts{
        .name = "multi30k",
        .summary = "translate English into German; 29,000 + 1,014 + 1,000 sentences about pictures",
        .noun = "sentences",
        .models = {"transformer", "transformer-small"},
        .source =
            "data/task1/raw of github.com/multi30k/dataset; or train, val and test_2016_flickr "
            "with a sentence a line, .en and .de, plain or .gz",
        .files = {{"train.en.gz",
                   "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"},
                  {"train.de.gz",
                   "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"},
                  {"val.en.gz", "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"},
                  {"val.de.gz", "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"},
                  {"test_2016_flickr.en.gz",
                   "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"},
                  {"test_2016_flickr.de.gz",
                   "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"}},
        .time = "half an hour for eight epochs (two cores with AVX-512, bf16)",
        .assets = {kPiecesFile}};
    return facts;
  }

  TaskDefaults defaults(const std::string&) const override {
    const Recipe recipe{.optimizer = OptimizerKind::adamw,
                        .betas = {0.9, 0.98},
                        .clip_norm = 1.0,
                        .schedule = ScheduleKind::warm_up_cosine,
                        .warm_up = 0.1,
                        .min_factor = 0.01};
    return {15, 128, 1e-3, 0.01, recipe};
  }

  std::filesystem::path find_data() const override {
    const auto directory = cache_directory("multi30k");
    if (std::filesystem::exists(directory)) return directory;
    throw Error("no Multi30k at " + directory.string(),
                "--data with a directory of train, val and test_2016_flickr, .en and .de, from "
                "data/task1/raw of https://github.com/multi30k/dataset");
  }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                       const OpenOptions&) const override {
    return std::make_shared<PairData>(data);
  }

  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override {
    data::SentencePieces pieces(assets.at(kPiecesFile), kPiecesFile);
    if (pieces.padding() != data::kPaddingToken) {
      throw Error("padding as token " + std::to_string(pieces.padding()),
                  std::to_string(data::kPaddingToken), kPiecesFile);
    }
    models::TranslatorOptions options{
        .vocabulary = pieces.size(), .seed = config.seed, .init = config.policy.init};
    if (config.model == "transformer-small") {
      options.layers = 2;
      options.width = 64;
      options.inner = 256;
    }
    return std::make_shared<TranslationLearner>(std::make_shared<models::Translator>(options),
                                                std::move(pieces));
  }
};

}  // namespace

const Task& multi30k_task() {
  static const Multi30k task;
  return task;
}

}  // namespace halftone::tasks
