// --pretrained: a Hugging Face folder of a BERT, that is config.json, vocab.txt, model.safetensors
// and, where the letters' case counts, tokenizer_config.json.
#pragma once

#include <torch/nn/module.h>

#include <filesystem>
#include <string>
#include <vector>

#include "halftone/data/codec/word_piece.h"
#include "halftone/models/encoder.h"
#include "halftone/tasks/learner.h"
#include "halftone/tasks/run_config.h"

namespace halftone::tasks {

// What a run's directory keeps of the folder: all but the weights.
std::vector<std::string> pretrained_files();
Assets pretrained_assets(const std::filesystem::path& folder);

// As the assets say, seed and initialisation as the configuration. Throws UsageError where there
// are no such assets: no folder was given; Error that names the file for one that is not what it
// should be.
models::EncoderOptions encoder_options(const RunConfig& config, const Assets& assets);
data::WordPieceTokenizer word_piece_tokenizer(const Assets& assets);

// Copies the folder's weights into the models::Encoder that is `module`'s child "bert". Names with
// and without "bert."; what belongs to another network's head is left out, as is a pooler that this
// one has none of. Throws Error with the first three names that are missing, extra or of another
// shape.
void load_pretrained(torch::nn::Module& module, const std::filesystem::path& folder);

}  // namespace halftone::tasks
