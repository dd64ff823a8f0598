// The words by which two answers are compared.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace halftone::data {

// As SQuAD's evaluation script for v1.1 normalises (Rajpurkar et al. 2016, 6.1): in lower case,
// without ASCII punctuation, without the words a, an and the, cut at white space. Greek capital
// sigma becomes σ wherever it stands (Python writes ς at a word's end), in both answers alike.
// text: UTF-8. Throws Error for bytes that are none.
std::vector<std::string> answer_words(std::string_view text);

}  // namespace halftone::data
