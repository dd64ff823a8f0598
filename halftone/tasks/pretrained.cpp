#include "halftone/tasks/pretrained.h"

#include <algorithm>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/train/weights.h"

namespace halftone::tasks {
namespace {

constexpr const char* kEncoderFile = "config.json";
constexpr const char* kPiecesFile = "vocab.txt";
constexpr const char* kTokenizerFile = "tokenizer_config.json";
constexpr const char* kWeightsFile = "model.safetensors";
constexpr std::string_view kPrefix = "bert.";

const std::string& asset(const Assets& assets, const char* name) {
  const auto found = assets.find(name);
  if (found != assets.end()) return found->second;
  throw UsageError("no --pretrained",
                   "a Hugging Face folder of a BERT: config.json, vocab.txt, model.safetensors",
                   "model encoder");
}

bool lower_case(const Assets& assets) {
  const Json config = Json::parse(asset(assets, kTokenizerFile), kTokenizerFile);
  const Json* value = config.is_object() ? config.find("do_lower_case") : nullptr;
  return !value || !value->is_bool() || value->as_bool();
}

// The encoder's own: other heads' weights lie beside "bert." in a file that has it.
NamedTensors encoder_weights(NamedTensors all, bool pooler) {
  const auto has_prefix = [](const auto& item) { return item.first.starts_with(kPrefix); };
  if (std::any_of(all.begin(), all.end(), has_prefix)) {
    std::erase_if(all, [&](const auto& item) { return !has_prefix(item); });
    for (auto& [name, tensor] : all) name.erase(0, kPrefix.size());
  }
  std::erase_if(all, [&](const auto& item) {
    return item.first == "embeddings.position_ids" ||
           (!pooler && item.first.starts_with("pooler."));
  });
  return all;
}

}  // namespace

std::vector<std::string> pretrained_files() { return {kEncoderFile, kPiecesFile, kTokenizerFile}; }

Assets pretrained_assets(const std::filesystem::path& folder) {
  Assets assets;
  for (const std::string& name : pretrained_files()) {
    const bool optional = name == kTokenizerFile && !std::filesystem::exists(folder / name);
    assets.emplace(name, optional ? "{}\n" : read_file(folder / name));
  }
  return assets;
}

models::EncoderOptions encoder_options(const RunConfig& config, const Assets& assets) {
  auto options = models::EncoderOptions::from_config(
      Json::parse(asset(assets, kEncoderFile), kEncoderFile), kEncoderFile);
  const auto pieces = data::Vocabulary::from_lines(asset(assets, kPiecesFile), kPiecesFile).size();
  if (pieces > options.vocabulary) {
    throw Error(std::to_string(pieces) + " tokens",
                "at most the " + std::to_string(options.vocabulary) + " of config.json",
                kPiecesFile);
  }
  options.seed = config.seed;
  options.init = config.policy.init;
  return options;
}

data::WordPieceTokenizer word_piece_tokenizer(const Assets& assets) {
  auto vocabulary = data::Vocabulary::from_lines(asset(assets, kPiecesFile), kPiecesFile);
  return {std::move(vocabulary), lower_case(assets), kPiecesFile};
}

void load_pretrained(torch::nn::Module& module, const std::filesystem::path& folder) {
  const auto children = module.named_children();
  const auto* child = children.find("bert");
  auto* encoder = child ? (*child)->as<models::Encoder>() : nullptr;
  if (!encoder) throw UsageError("a network without an encoder", "one with", "--pretrained");
  const auto file = folder / kWeightsFile;
  set_weights(*encoder, encoder_weights(read_safetensors(file).tensors, encoder->options().pooler),
              file.string());
}

}  // namespace halftone::tasks
