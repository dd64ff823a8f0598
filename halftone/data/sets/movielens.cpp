#include "halftone/data/sets/movielens.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "halftone/base/text.h"

namespace halftone::data {
namespace {

constexpr std::int64_t kFewestStars = 1, kMostStars = 5;

std::vector<std::string_view> split(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  for (std::size_t begin = 0;;) {
    const std::size_t end = line.find(separator, begin);
    fields.push_back(line.substr(begin, end - begin));
    if (end == std::string_view::npos) return fields;
    begin = end + 1;
  }
}

// Calls take(fields, "file:line") for each line that is not empty.
void read_lines(const std::filesystem::path& path, char separator, std::size_t least,
                const std::function<void(const std::vector<std::string_view>&,
                                         const std::string& where)>& take) {
  const std::string content = read_file(path);
  std::size_t number = 0;
  for (std::string_view line : split(content, '\n')) {
    const std::string where = path.string() + ":" + std::to_string(++number);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const auto fields = split(line, separator);
    if (fields.size() < least) {
      throw Error(std::to_string(fields.size()) + " columns in " + quote(line),
                  std::to_string(least) + " or more", where);
    }
    take(fields, where);
  }
}

std::int64_t whole(std::string_view field, const char* name, const std::string& where) {
  const auto value = parse_int(field);
  if (value) return *value;
  throw Error(std::string(name) + " " + quote(field), "a whole number", where);
}

std::string latin1_to_utf8(std::string_view text) {
  std::string result;
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    if (byte < 0x80) {
      result += each;
    } else {
      result += static_cast<char>(0xC0 | (byte >> 6));
      result += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return result;
}

std::vector<Film> read_films(const std::filesystem::path& path) {
  std::vector<Film> films;
  read_lines(path, '|', 2, [&](const auto& fields, const std::string& where) {
    films.push_back({whole(fields[0], "film", where), latin1_to_utf8(fields[1])});
  });
  std::sort(films.begin(), films.end(), [](const Film& a, const Film& b) { return a.id < b.id; });
  for (std::size_t i = 1; i < films.size(); ++i) {
    if (films[i].id == films[i - 1].id) {
      throw Error("film " + std::to_string(films[i].id) + " twice", "each film once",
                  path.string());
    }
  }
  return films;
}

std::int64_t place_of(const std::vector<Film>& films, std::int64_t id, const std::string& where) {
  const auto found =
      std::lower_bound(films.begin(), films.end(), id,
                       [](const Film& film, std::int64_t each) { return film.id < each; });
  if (found == films.end() || found->id != id) {
    throw Error("film " + std::to_string(id), "one that u.item has", where);
  }
  return found - films.begin();
}

// Rating::user is the id in the file.
std::vector<Rating> read_ratings(const std::filesystem::path& path, const std::vector<Film>& films,
                                 std::set<std::pair<std::int64_t, std::int64_t>>& seen) {
  std::vector<Rating> ratings;
  read_lines(path, '\t', 4, [&](const auto& fields, const std::string& where) {
    const std::int64_t user = whole(fields[0], "user", where);
    const std::int64_t film = whole(fields[1], "film", where);
    const std::int64_t stars = whole(fields[2], "rating", where);
    if (stars < kFewestStars || stars > kMostStars) {
      throw Error("rating " + std::to_string(stars), "1 to 5", where);
    }
    if (!seen.emplace(user, film).second) {
      throw Error("user " + std::to_string(user) + " and film " + std::to_string(film) + " twice",
                  "each pair once in both files", where);
    }
    ratings.push_back({user, place_of(films, film, where), static_cast<float>(stars)});
  });
  if (ratings.empty()) throw Error("no ratings", "some", path.string());
  return ratings;
}

// Ids to places; what has none goes.
std::vector<Rating> placed(const std::vector<Rating>& ratings,
                           const std::vector<std::int64_t>& users) {
  std::vector<Rating> result;
  for (Rating rating : ratings) {
    const auto found = std::lower_bound(users.begin(), users.end(), rating.user);
    if (found == users.end() || *found != rating.user) continue;
    rating.user = found - users.begin();
    result.push_back(rating);
  }
  return result;
}

}  // namespace

MovieLens movielens(const std::filesystem::path& dir) {
  MovieLens set;
  set.items = read_films(dir / "u.item");
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  const auto train = read_ratings(dir / "ua.base", set.items, seen);
  const auto test = read_ratings(dir / "ua.test", set.items, seen);
  std::set<std::int64_t> users;
  for (const Rating& rating : train) users.insert(rating.user);
  set.users.assign(users.begin(), users.end());
  set.train = placed(train, set.users);
  set.test = placed(test, set.users);
  if (const std::size_t left_out = test.size() - set.test.size()) {
    warn((dir / "ua.test").string() + ": " + std::to_string(left_out) +
         " ratings left out, of users who are not in ua.base");
  }
  if (set.test.empty()) {
    throw Error("no rating of a user of ua.base", "some", (dir / "ua.test").string());
  }
  return set;
}

}  // namespace halftone::data
