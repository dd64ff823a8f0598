#include "halftone/tasks/task.h"

#include <memory>

#include "halftone/base/text.h"
#include "halftone/cli/command.h"

namespace halftone::cli {
namespace {

Json to_json(const tasks::TaskFacts& facts) {
  Json json;
  json["name"] = facts.name;
  json["summary"] = facts.summary;
  json["models"] = Json::array();
  for (const std::string& model : facts.models) json["models"].push_back(model);
  json["pretrained"] = Json::array();
  for (const std::string& model : facts.pretrained) json["pretrained"].push_back(model);
  json["source"] = facts.source;
  json["files"] = Json::array();
  for (const tasks::DataFile& file : facts.files) {
    Json entry;
    entry["name"] = file.name;
    entry["sha256"] = file.sha256;
    json["files"].push_back(std::move(entry));
  }
  json["time"] = facts.time;
  return json;
}

void print(std::ostream& out, const tasks::TaskFacts& facts) {
  out << facts.name << ": " << facts.summary << "\n"
      << "  models  " << join(facts.models) << "\n";
  if (!facts.pretrained.empty()) {
    out << "          " << join(facts.pretrained) << " with --pretrained DIR\n";
  }
  out << "  time    " << facts.time << "\n"
      << "  data    " << facts.source << "\n";
  for (const tasks::DataFile& file : facts.files) {
    out << "          " << file.sha256 << "  " << file.name << "\n";
  }
}

int list_tasks(Invocation& invocation, bool json) {
  Json all = Json::array();
  for (const tasks::Task* task : tasks::all_tasks()) {
    if (!json) print(invocation.out, task->facts());
    all.push_back(to_json(task->facts()));
  }
  if (json) invocation.out << all.dump(2) << "\n";
  return 0;
}

}  // namespace

void add_tasks(CLI::App& app, Invocation& invocation) {
  auto json = std::make_shared<bool>(false);
  auto* command = app.add_subcommand(
      "tasks", "List the tasks: networks, data (where from, SHA-256), time of a training");
  command->add_flag("--json", *json, "Print JSON");
  command->callback([json, &invocation] {
    invocation.run = [=, &invocation] { return list_tasks(invocation, *json); };
  });
}

}  // namespace halftone::cli
