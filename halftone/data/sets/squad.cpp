#include "halftone/data/sets/squad.h"

#include <optional>
#include <string_view>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/base/log.h"
#include "halftone/base/text.h"
#include "halftone/data/utf8.h"

namespace halftone::data {
namespace {

// A value of the file with its path in it, for messages: "dev.json: data[3].paragraphs[0]".
struct Node {
  const Json& value;
  std::string where;
  bool is_document = false;

  Node at(const char* key) const {
    if (!value.is_object())
      throw Error("no object", "one with \"" + std::string(key) + "\"", where);
    const Json* found = value.find(key);
    if (!found) throw Error("no \"" + std::string(key) + "\"", "SQuAD's format", where);
    return {*found, where + (is_document ? ": " : ".") + key};
  }
  std::vector<Node> items() const {
    if (!value.is_array()) throw Error("no array", "one", where);
    std::vector<Node> nodes;
    for (const Json& item : value.as_array()) {
      nodes.push_back({item, where + "[" + std::to_string(nodes.size()) + "]"});
    }
    return nodes;
  }
  const std::string& text() const {
    if (!value.is_string()) throw Error("no string", "one", where);
    return value.as_string();
  }
  const std::string& some_text() const {
    if (text().find_first_not_of(" \t\r\n") == std::string::npos) {
      throw Error("an empty text", "one with words", where);
    }
    return text();
  }
};

// Counted over a file.
struct Left {
  std::int64_t unanswered = 0, misplaced = 0;
};

bool is_at(const std::vector<std::string_view>& context, std::int64_t begin,
           const std::string& text) {
  if (begin < 0 || begin >= static_cast<std::int64_t>(context.size()) || text.empty()) return false;
  const char* start = context[static_cast<std::size_t>(begin)].data();
  const char* end = context.back().data() + context.back().size();
  return std::string_view(start, static_cast<std::size_t>(end - start)).starts_with(text);
}

SquadAnswer answer_of(const Node& node, const std::vector<std::string_view>& context, Left& left) {
  const Node start = node.at("answer_start");
  if (!start.value.is_int()) throw Error("no whole number", "one", start.where);
  SquadAnswer answer{node.at("text").text(), start.value.as_int()};
  if (!is_at(context, answer.begin, answer.text)) {
    answer.begin = -1;
    ++left.misplaced;
  }
  return answer;
}

std::optional<SquadQuestion> question_of(const Node& node,
                                         const std::vector<std::string_view>& context, Left& left) {
  SquadQuestion question{node.at("id").text(), node.at("question").some_text(), {}};
  for (const Node& answer : node.at("answers").items()) {
    question.answers.push_back(answer_of(answer, context, left));
  }
  if (!question.answers.empty()) return question;
  ++left.unanswered;
  return std::nullopt;
}

void warn_of(const Left& left, const std::string& file) {
  std::vector<std::string> parts;
  if (left.unanswered > 0) {
    parts.push_back(std::to_string(left.unanswered) + " questions without an answer are left out");
  }
  if (left.misplaced > 0) {
    parts.push_back(std::to_string(left.misplaced) +
                    " answers are not in their text at answer_start");
  }
  if (!parts.empty()) warn(file + ": " + join(parts));
}

}  // namespace

std::vector<SquadParagraph> squad_paragraphs(const std::filesystem::path& path) {
  const std::string file = path.string(), content = read_file(path);
  utf8_characters(content, file);
  const Json document = Json::parse(content, file);
  std::vector<SquadParagraph> paragraphs;
  Left left;
  std::size_t questions = 0;
  for (const Node& article : Node{document, file, true}.at("data").items()) {
    for (const Node& node : article.at("paragraphs").items()) {
      SquadParagraph paragraph{node.at("context").some_text(), {}};
      const auto characters = utf8_characters(paragraph.context, node.where);
      for (const Node& each : node.at("qas").items()) {
        auto question = question_of(each, characters, left);
        if (question) paragraph.questions.push_back(std::move(*question));
      }
      questions += paragraph.questions.size();
      paragraphs.push_back(std::move(paragraph));
    }
  }
  if (questions == 0) throw Error("no question with an answer", "some", file);
  warn_of(left, file);
  return paragraphs;
}

}  // namespace halftone::data
