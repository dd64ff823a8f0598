#include "halftone/models/encoder_options.h"

#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone::models {
namespace {

// The text of a key, or what it is by default.
std::string text_of(const Json& config, const char* key, const std::string& fallback) {
  const Json* value = config.find(key);
  return value && value->is_string() ? value->as_string() : fallback;
}

void require_text(const Json& config, const char* key, const std::string& expected,
                  const std::string& fallback, const std::string& where) {
  const std::string given = text_of(config, key, fallback);
  if (given != expected) {
    throw Error(std::string(key) + " " + quote(given), quote(expected), where);
  }
}

std::string gelu_of(const Json& config, const std::string& where) {
  const std::string given = text_of(config, "hidden_act", "gelu");
  if (given == "gelu") return "none";
  if (given == "gelu_new" || given == "gelu_pytorch_tanh") return "tanh";
  throw Error("hidden_act " + quote(given), "gelu, gelu_new or gelu_pytorch_tanh", where);
}

const Json& value_of(const Json& config, const char* key, const std::string& where) {
  const Json* value = config.find(key);
  if (!value) throw Error(std::string("no \"") + key + "\"", "a BERT's config.json", where);
  if (!value->is_number()) throw Error(quote(key) + " is no number", "one", where);
  return *value;
}

}  // namespace

EncoderOptions EncoderOptions::from_config(const Json& config, const std::string& where) {
  if (!config.is_object()) throw Error("no object", "a BERT's config.json", where);
  require_text(config, "model_type", "bert", "", where);
  require_text(config, "position_embedding_type", "absolute", "absolute", where);
  if (const Json* decoder = config.find("is_decoder");
      decoder && decoder->is_bool() && decoder->as_bool()) {
    throw Error("is_decoder true", "an encoder", where);
  }
  const auto count = [&](const char* key) { return value_of(config, key, where).as_int(); };
  EncoderOptions o;
  o.vocabulary = count("vocab_size");
  o.positions = count("max_position_embeddings");
  o.types = count("type_vocab_size");
  o.layers = count("num_hidden_layers");
  o.heads = count("num_attention_heads");
  o.width = count("hidden_size");
  o.inner = count("intermediate_size");
  o.epsilon = value_of(config, "layer_norm_eps", where).as_double();
  o.dropout = value_of(config, "hidden_dropout_prob", where).as_double();
  o.gelu = gelu_of(config, where);
  return o;
}

const EncoderOptions& checked_encoder_options(const EncoderOptions& o) {
  const std::pair<const char*, std::int64_t> counts[] = {{"vocabulary", o.vocabulary},
                                                         {"positions", o.positions},
                                                         {"types", o.types},
                                                         {"layers", o.layers},
                                                         {"heads", o.heads},
                                                         {"width", o.width},
                                                         {"inner", o.inner}};
  for (const auto& [name, value] : counts) {
    if (value < 1) {
      throw UsageError(std::to_string(value), "1 or more", std::string("encoder, ") + name);
    }
  }
  if (o.width % o.heads != 0) {
    throw UsageError(std::to_string(o.width),
                     "a multiple of the " + std::to_string(o.heads) + " heads", "encoder, width");
  }
  if (!(o.dropout >= 0 && o.dropout < 1)) {
    throw UsageError(format_number(o.dropout), "0 or more, below 1", "encoder, dropout");
  }
  if (!(o.epsilon > 0)) {
    throw UsageError(format_number(o.epsilon), "above 0", "encoder, epsilon");
  }
  if (o.gelu != "none" && o.gelu != "tanh") {
    throw UsageError(quote(o.gelu), "none or tanh", "encoder, gelu");
  }
  return o;
}

}  // namespace halftone::models
