#include "halftone/train/pickle.h"

#include <caffe2/serialize/inline_container.h>
#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/serialization/pickler.h>
#include <torch/csrc/jit/serialization/unpickler.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <vector>

#include "halftone/base/error.h"

namespace halftone {
namespace {

using c10::IValue;

// A tensor alone in its storage, on the CPU: a view would drag its whole storage into the file.
at::Tensor plain_tensor(const at::Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  const at::Tensor local = tensor.detach().to(at::kCPU);
  return local.storage().nbytes() == local.nbytes() ? local : local.clone();
}

// As Python's weights_only reader takes it: dictionaries and lists without TorchScript's types.
IValue to_plain(const IValue& value) {
  if (value.isTensor()) return plain_tensor(value.toTensor());
  if (value.isGenericDict()) {
    c10::impl::GenericDict result(c10::AnyType::get(), c10::AnyType::get());
    for (const auto& entry : value.toGenericDict())
      result.insert(entry.key(), to_plain(entry.value()));
    return result;
  }
  if (value.isList()) {
    c10::impl::GenericList result(c10::AnyType::get());
    for (const IValue& element : value.toListRef()) result.push_back(to_plain(element));
    return result;
  }
  return value;
}

template <class Element, class Get>
IValue typed_list(at::ArrayRef<IValue> elements, Get get) {
  c10::List<Element> result;
  for (const IValue& element : elements) result.push_back(get(element));
  return result;
}

IValue from_plain(const IValue& value);

IValue list_from_plain(at::ArrayRef<IValue> elements) {
  const auto all = [&](auto is) {
    return !elements.empty() && std::all_of(elements.begin(), elements.end(), is);
  };
  if (all([](const IValue& e) { return e.isInt(); }))
    return typed_list<std::int64_t>(elements, [](const IValue& e) { return e.toInt(); });
  if (all([](const IValue& e) { return e.isDouble(); }))
    return typed_list<double>(elements, [](const IValue& e) { return e.toDouble(); });
  if (all([](const IValue& e) { return e.isBool(); }))
    return typed_list<bool>(elements, [](const IValue& e) { return e.toBool(); });
  if (all([](const IValue& e) { return e.isTensor(); }))
    return typed_list<at::Tensor>(elements, [](const IValue& e) { return e.toTensor(); });
  if (all([](const IValue& e) { return e.isString(); }))
    return typed_list<std::string>(elements, [](const IValue& e) { return e.toStringRef(); });
  c10::impl::GenericList result(c10::AnyType::get());
  for (const IValue& element : elements) result.push_back(from_plain(element));
  return result;
}

IValue dict_from_plain(const c10::impl::GenericDict& dict) {
  const bool by_number = !dict.empty() && dict.begin()->key().isInt();
  const auto key_type = by_number ? c10::TypePtr(c10::IntType::get()) : c10::StringType::get();
  c10::impl::GenericDict result(key_type, c10::AnyType::get());
  for (const auto& entry : dict) {
    if (by_number ? !entry.key().isInt() : !entry.key().isString())
      throw Error("a dictionary with keys of several kinds", "strings or whole numbers");
    result.insert(entry.key(), from_plain(entry.value()));
  }
  return result;
}

IValue from_plain(const IValue& value) {
  if (value.isGenericDict()) return dict_from_plain(value.toGenericDict());
  if (value.isList()) return list_from_plain(value.toListRef());
  return value;
}

class MemoryAdapter : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit MemoryAdapter(std::string_view content) : content_(content) {}
  size_t size() const override { return content_.size(); }
  size_t read(uint64_t position, void* buffer, size_t n, const char*) const override {
    if (position >= content_.size()) return 0;
    n = std::min(n, content_.size() - static_cast<size_t>(position));
    std::memcpy(buffer, content_.data() + position, n);
    return n;
  }

 private:
  std::string_view content_;
};

IValue unpickle(caffe2::serialize::PyTorchStreamReader& reader) {
  const auto [data, size] = reader.getRecord("data.pkl");
  const char* next = static_cast<const char*>(data.get());
  const char* end = next + size;
  const auto read = [&](char* buffer, size_t n) {
    n = std::min(n, static_cast<size_t>(end - next));
    std::memcpy(buffer, next, n);
    next += n;
    return n;
  };
  const auto record = [&](const std::string& name) {
    return std::get<0>(reader.getRecord("data/" + name));
  };
  torch::jit::Unpickler unpickler(read, nullptr, nullptr, record, at::Device(at::kCPU));
  return unpickler.parse_ivalue();
}

}  // namespace

void write_archive(const StateDict& state, const std::function<void(const void*, size_t)>& sink) {
  // No exception may cross the archive writer, which is partly C and writes on in its destructor:
  // after the first one it writes to nowhere.
  std::exception_ptr failure;
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t size) {
    try {
      if (!failure) sink(data, size);
    } catch (...) {
      failure = std::current_exception();
    }
    return size;
  });

  std::string pickle;
  std::vector<std::string> names;
  torch::jit::Pickler pickler([&](const char* data, size_t size) { pickle.append(data, size); },
                              nullptr, nullptr, nullptr,
                              [&](const at::Tensor&) {
                                names.push_back(std::to_string(names.size()));
                                return names.back();
                              },
                              /*tag_aggregates=*/false);
  pickler.protocol();
  pickler.pushIValue(to_plain(state));
  pickler.stop();

  const std::string order = "little";
  writer.writeRecord("data.pkl", pickle.data(), pickle.size());
  writer.writeRecord("byteorder", order.data(), order.size());
  for (std::size_t i = 0; i < names.size() && !failure; ++i) {
    const auto& storage = pickler.tensorData()[i].storage();
    writer.writeRecord("data/" + names[i], storage.data(), storage.nbytes());
  }
  writer.writeEndOfFile();
  if (failure) std::rethrow_exception(failure);
}

StateDict read_archive(std::string_view content, const std::string& where) {
  try {
    caffe2::serialize::PyTorchStreamReader reader(std::make_shared<MemoryAdapter>(content));
    const IValue value = unpickle(reader);
    if (!value.isGenericDict()) throw Error("no dictionary", "a state dictionary", where);
    return c10::impl::toTypedDict<std::string, IValue>(from_plain(value).toGenericDict());
  } catch (const c10::Error& error) {
    std::string reason = error.what_without_backtrace();
    throw Error(reason.substr(0, reason.find('\n')), "a checkpoint", where);
  }
}

}  // namespace halftone
