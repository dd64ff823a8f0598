// Questions about paragraphs, in SQuAD's JSON (Rajpurkar et al. 2016; versions 1.1 and 2.0).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace halftone::data {

struct SquadAnswer {
  std::string text;
  std::int64_t begin = 0;  // the character (code point) of the context where it starts; -1: nowhere
};

struct SquadQuestion {
  std::string id, text;
  std::vector<SquadAnswer> answers;  // at least one
};

struct SquadParagraph {
  std::string context;
  std::vector<SquadQuestion> questions;
};

// data[].paragraphs[].{context, qas[].{id, question, answers[].{text, answer_start}}}; other keys
// are passed over. One warning counts the questions without an answer, which are left out, and the
// answers that are not in their context where answer_start says, whose begin is -1. Throws Error
// with the file and the path in it for what is missing or of another type, an empty context or
// question, bytes that are no UTF-8; and for a file without a question.
std::vector<SquadParagraph> squad_paragraphs(const std::filesystem::path& path);

}  // namespace halftone::data
