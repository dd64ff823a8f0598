// MovieLens: stars that users gave to films (Harper and Konstan, ACM TiiS 5(4), 2015).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace halftone::data {

// user, item: places in MovieLens::users and MovieLens::items.
struct Rating {
  std::int64_t user = 0, item = 0;
  float stars = 0;  // 1 to 5
};

struct Film {
  std::int64_t id = 0;  // as in the files
  std::string title;    // UTF-8
};

struct MovieLens {
  std::vector<std::int64_t> users;  // their ids in the files, ascending
  std::vector<Film> items;          // by id, ascending
  std::vector<Rating> train, test;  // in the files' order
};

// The split "ua" of MovieLens-100k in `dir`: ua.base (training), ua.test (ten ratings of each
// user), lines of user, item, stars and time, separated by tabs; u.item, lines of fields separated
// by |, of which the first two are id and title, in Latin-1. Ratings of users who are only in the
// test set are left out with a warning that counts them. Throws Error with file and line for
// anything else: a column that is missing or no number, stars out of 1 to 5, a film that u.item
// does not have, a pair that is rated twice.
MovieLens movielens(const std::filesystem::path& dir);

}  // namespace halftone::data
