// Language models on "tiny Shakespeare", 1.1 MB of plays, the last tenth held out: of characters,
// and of pieces of words.
#include <ATen/Functions.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/data/token_windows.h"
#include "halftone/data/utf8.h"
#include "halftone/tasks/language_learner.h"
#include "halftone/tasks/loaders.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {
namespace {

constexpr double kTrainShare = 0.9;  // of the characters
constexpr std::int64_t kPieces = 2000;
constexpr double kPiecesDropout = 0.2;  // a third as many tokens are soon known by heart

enum class Level { characters, pieces };

const char* asset_file(Level level) {
  return level == Level::characters ? "vocabulary.json" : "sentencepiece.model";
}

std::shared_ptr<const TextCodec> make_codec(Level level, const std::string& asset) {
  const std::string file = asset_file(level);
  if (level == Level::characters) {
    return character_codec(data::Vocabulary::from_json(asset, file));
  }
  return piece_codec(data::SentencePieces(asset, file));
}

struct Shape {
  const char* name;
  std::int64_t layers, heads, width, context;
};
constexpr Shape kShapes[] = {{"gpt", 4, 6, 192, 128}, {"gpt-small", 4, 4, 128, 64}};

const Shape& shape_of(const std::string& model) {
  for (const Shape& shape : kShapes) {
    if (model == shape.name) return shape;
  }
  throw Error("model " + model, "gpt or gpt-small", "shakespeare");
}

// DIR/tinyshakespeare.txt or DIR/input.txt, as it is published; or any text file.
std::filesystem::path text_file(const std::filesystem::path& data) {
  if (!std::filesystem::is_directory(data)) return data;
  for (const char* name : {"tinyshakespeare.txt", "input.txt"}) {
    if (std::filesystem::exists(data / name)) return data / name;
  }
  throw Error("no tinyshakespeare.txt and no input.txt", "the text", data.string());
}

// The characters of `text`; of a file that is empty or no UTF-8 an Error.
std::vector<std::string_view> characters_of(const std::string& text, const std::string& source) {
  auto characters = data::utf8_characters(text, source);
  if (characters.empty()) throw Error("an empty text", "one to learn from", source);
  return characters;
}

// Of the whole text: what is held out has no character that can't be said.
std::string characters_asset(const std::vector<std::string_view>& characters) {
  const std::set<std::string, std::less<>> distinct(characters.begin(), characters.end());
  return data::Vocabulary({distinct.begin(), distinct.end()}).to_json();
}

// Of what is learned from alone.
std::string pieces_asset(std::string_view train, const std::string& source) {
  std::vector<std::string_view> lines;
  while (!train.empty()) {
    const auto length = std::min(train.find('\n'), train.size());
    if (length > 0) lines.push_back(train.substr(0, length));
    train.remove_prefix(std::min(length + 1, train.size()));
  }
  return data::train_sentence_pieces(lines, kPieces, source, data::PieceText::exact);
}

at::Tensor tokens_of(const TextCodec& codec, std::string_view text, const std::string& source) {
  return at::tensor(codec.encode(text, source), at::kLong);
}

class TextData : public TaskData {
 public:
  TextData(const std::filesystem::path& file, Level level) : source_(file.string()), level_(level) {
    const std::string text = read_file(file);
    const auto characters = characters_of(text, source_);
    const auto count = static_cast<double>(characters.size());
    const auto train = static_cast<std::size_t>(kTrainShare * count);
    const std::string_view all = text;
    const auto cut = static_cast<std::size_t>(characters[train].data() - text.data());
    asset_ = level == Level::characters ? characters_asset(characters)
                                        : pieces_asset(all.substr(0, cut), source_);
    const auto codec = make_codec(level, asset_);
    train_ = tokens_of(*codec, all.substr(0, cut), source_);
    held_out_ = tokens_of(*codec, all.substr(cut), source_);
    tokens_per_character_ =
        static_cast<double>(held_out_.size(0)) / static_cast<double>(characters.size() - train);
  }

  std::shared_ptr<data::BatchSource> train(const RunConfig& config, Learner&) const override {
    return train_loader(
        std::make_shared<data::TokenWindows>(train_, shape_of(config.model).context, true, source_),
        config, "sequences");
  }
  std::shared_ptr<data::BatchSource> evaluation(std::int64_t batch,
                                                Learner& learner) const override {
    auto& language = dynamic_cast<LanguageLearner&>(learner);
    language.judge_by(tokens_per_character_);
    return evaluation_loader(
        std::make_shared<data::TokenWindows>(held_out_, language.context(), false, source_), batch);
  }
  Assets assets() const override { return {{asset_file(level_), asset_}}; }

 private:
  std::string source_, asset_;
  Level level_;
  at::Tensor train_, held_out_;
  double tokens_per_character_ = 1;
};

class Shakespeare : public Task {
 public:
  explicit Shakespeare(Level level)
      : level_(level),
        facts_{.name = level == Level::characters ? "shakespeare" : "shakespeare-bpe",
               .summary = std::string("continue a text, ") +
                          (level == Level::characters ? "a character" : "a piece of a word") +
                          " at a time; 1.1 MB of plays, the last tenth held out",
               .noun = "sequences",
               .models = {"gpt", "gpt-small"},
               .source =
                   "data/tinyshakespeare/input.txt of github.com/karpathy/char-rnn; or any UTF-8 "
                   "text as --data FILE",
               .files = {{"tinyshakespeare.txt",
                          "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"}},
               .time = "about ten minutes (two cores with AVX-512)",
               .assets = {asset_file(level)}} {}

  const TaskFacts& facts() const override { return facts_; }

  TaskDefaults defaults(const std::string& model) const override {
    const Recipe recipe{.optimizer = OptimizerKind::adamw,
                        .betas = {0.9, 0.99},
                        .clip_norm = 1.0,
                        .schedule = ScheduleKind::warm_up_cosine,
                        .warm_up = 0.05,
                        .min_factor = 0.1};
    const std::int64_t epochs = model == "gpt" ? 6 : 4;
    return {level_ == Level::characters ? epochs : 2 * epochs, 16, 2e-3, 0.1, recipe};
  }

  std::filesystem::path find_data() const override {
    const auto directory = cache_directory("tinyshakespeare");
    if (std::filesystem::exists(directory)) return directory;
    throw Error("no tiny Shakespeare at " + directory.string(),
                "--data with the text (input.txt of "
                "https://github.com/karpathy/char-rnn/tree/master/data/tinyshakespeare) or its "
                "directory");
  }
  std::shared_ptr<const TaskData> open(const std::filesystem::path& data,
                                       const OpenOptions&) const override {
    return std::make_shared<TextData>(text_file(data), level_);
  }

  std::shared_ptr<Learner> learner(const RunConfig& config, const Assets& assets) const override {
    const Shape& shape = shape_of(config.model);
    auto codec = make_codec(level_, assets.at(asset_file(level_)));
    const models::GptOptions options{.vocabulary = codec->size(),
                                     .context = shape.context,
                                     .layers = shape.layers,
                                     .heads = shape.heads,
                                     .width = shape.width,
                                     .dropout = level_ == Level::characters ? 0 : kPiecesDropout,
                                     .seed = config.seed,
                                     .init = config.policy.init};
    return std::make_shared<LanguageLearner>(std::make_shared<models::Gpt>(options),
                                             std::move(codec));
  }

 private:
  Level level_;
  TaskFacts facts_;
};

}  // namespace

const Task& shakespeare_task() {
  static const Shakespeare task(Level::characters);
  return task;
}

const Task& shakespeare_bpe_task() {
  static const Shakespeare task(Level::pieces);
  return task;
}

}  // namespace halftone::tasks
