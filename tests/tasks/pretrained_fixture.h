// A Hugging Face folder: a BERT with two layers of random weights, whose
// vocabulary is the words and letters that the tests use.
#pragma once

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/models/encoder.h"
#include "halftone/train/weights.h"
#include "tests/support/scratch.h"

namespace halftone::tasks {

inline constexpr const char* kTinyPieces[] = {
    "[PAD]", "[UNK]", "[CLS]",  "[SEP]", "[MASK]", ".",         "?",      "the",   "film",
    "is",    "very",  "moving", "funny", "dull",   "brilliant", "boring", "awful", "indeed",
    "where", "what",  "who",    "lives", "tom",    "kate",      "in",     "paris", "rome",
    "oslo",  "and",   "from",   "start", "to",     "end",       "a",      "##s",   "likes"};
constexpr std::int64_t kTinyPositions = 32;

inline Json tiny_config() {
  return Json::parse(R"({"model_type":"bert","vocab_size":36,"max_position_embeddings":32,
    "type_vocab_size":2,"num_hidden_layers":2,"num_attention_heads":4,"hidden_size":64,
    "intermediate_size":128,"layer_norm_eps":1e-12,"hidden_dropout_prob":0.0,"hidden_act":"gelu"})");
}

// New weights are made for many steps; these tell words apart at once, and places less.
constexpr double kTinyScale = 16, kTinyPlaceScale = 1.6;

// The weights of a new encoder, each name behind `prefix`.
inline NamedTensors tiny_weights(const std::string& prefix = "") {
  auto options = models::EncoderOptions::from_config(tiny_config(), "config.json");
  options.seed = 5;
  NamedTensors weights;
  for (const auto& [name, tensor] : named_weights(models::Encoder(options))) {
    const bool place = name.find("position_") != name.npos || name.find("type_") != name.npos;
    const double scale = tensor.dim() < 2 ? 1 : place ? kTinyPlaceScale : kTinyScale;
    weights.emplace_back(prefix + name, scale * tensor);
  }
  return weights;
}

class TinyBert {
 public:
  explicit TinyBert(const NamedTensors& weights = tiny_weights()) {
    std::string pieces;
    for (const char* piece : kTinyPieces) pieces += std::string(piece) + "\n";
    write_file(scratch_ / "vocab.txt", pieces);
    write_file(scratch_ / "config.json", tiny_config().dump());
    write_safetensors(scratch_ / "model.safetensors", weights);
  }
  const std::filesystem::path& path() const { return scratch_.path(); }

 private:
  Scratch scratch_;
};

}  // namespace halftone::tasks
