#include "halftone/numerics/operation_watch.h"

#include <ATen/SequenceNumber.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/record_function.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <exception>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "halftone/ops/torch_compat.h"

namespace halftone::numerics {

constexpr std::string_view kSlotName = "halftone operation watch";

static c10::DebugInfoKind slot() { return compat::debug_info_kind(&kSlotName); }

// In LibTorch's thread-local state, which carries it to the threads that work for this one.
struct WatchSession final : c10::DebugInfoBase {
  std::mutex mutex;
  std::shared_ptr<OperationSink> sink;  // null: over
  std::exception_ptr failed;

  static WatchSession* current() {
    return static_cast<WatchSession*>(c10::ThreadLocalDebugInfo::get(slot()));
  }

  template <class Visit>
  void visit(Visit&& visit_sink) {
    const std::lock_guard lock(mutex);
    if (!sink || failed) return;
    try {
      visit_sink(*sink);
    } catch (...) {
      failed = std::current_exception();
    }
  }
};

namespace {

struct Frame final : at::ObserverContext {
  OperationCall call;
};

thread_local const OperationCall* innermost = nullptr;
thread_local bool in_sink = false;

// What the sink itself runs is neither watched nor differentiated.
class InSink {
 public:
  InSink() { in_sink = true; }
  ~InSink() { in_sink = false; }
  InSink(const InSink&) = delete;
  InSink& operator=(const InSink&) = delete;

 private:
  at::AutoDispatchBelowADInplaceOrView below_autograd_;
};

// Inside a kernel of autograd's: LibTorch's own affair.
bool below_autograd() {
  return c10::impl::tls_is_dispatch_key_excluded(c10::DispatchKey::AutogradFunctionality);
}

// "aten::mm", "torch::autograd::AccumulateGrad", "torch::autograd::CppNode<my::Function>".
std::string plain_name(std::string_view name) {
  if (const auto open = name.find('<'); open != std::string_view::npos && name.ends_with('>')) {
    name = name.substr(open + 1, name.size() - open - 2);
  }
  const auto colons = name.rfind("::");
  return std::string(colons == std::string_view::npos ? name : name.substr(colons + 2));
}

// Of lists, too.
void add_tensors(const c10::IValue& value, std::vector<at::Tensor>& tensors) {
  if (value.isTensor()) {
    tensors.push_back(value.toTensor());
  } else if (value.isTensorList()) {
    for (const at::Tensor& each : value.toTensorVector()) tensors.push_back(each);
  } else if (value.isList()) {  // of optional tensors
    for (const c10::IValue& each : value.toListRef()) add_tensors(each, tensors);
  }
}

std::uint32_t version_of(const at::Tensor& tensor) {
  return tensor.is_inference() ? 0 : static_cast<std::uint32_t>(tensor._version());
}

void set_call(const at::RecordFunction& function, OperationCall& call) {
  call.name = plain_name(function.name());
  call.outer = innermost;
  call.with_gradients = at::GradMode::is_enabled();
  if (function.scope() == at::RecordScope::BACKWARD_FUNCTION) {
    call.kind = OperationCall::Kind::node;
    call.sequence = static_cast<std::uint64_t>(function.seqNr());
    call.thread = function.forwardThreadId();
    for (const c10::IValue& input : function.inputs()) add_tensors(input, call.inputs);
    return;
  }
  call.sequence = at::sequence_number::peek();
  call.thread = at::RecordFunction::currentThreadId();
  if (function.scope() == at::RecordScope::USER_SCOPE) {
    call.kind = OperationCall::Kind::scope;
    return;
  }
  call.out_variant = std::string_view(function.overload_name()).ends_with("out");
  for (const c10::IValue& input : function.inputs()) {
    add_tensors(input, call.inputs);
    if ((input.isInt() || input.isDouble()) && input.toScalar().toDouble() == 0) {
      call.zero_scalar = true;
    }
  }
  std::erase_if(call.inputs, [](const at::Tensor& input) { return !input.defined(); });
  for (const at::Tensor& input : call.inputs) call.versions.push_back(version_of(input));
}

std::unique_ptr<at::ObserverContext> start(const at::RecordFunction& function) {
  WatchSession* session = WatchSession::current();
  if (!session || in_sink) return nullptr;
  if (function.scope() == at::RecordScope::FUNCTION && below_autograd()) return nullptr;
  auto frame = std::make_unique<Frame>();
  set_call(function, frame->call);
  {
    const InSink in_sink_scope;
    session->visit([&](OperationSink& sink) { sink.begin(frame->call); });
  }
  // AccumulateGrad takes a gradient over where nobody else holds it.
  if (frame->call.kind == OperationCall::Kind::node) frame->call.inputs.clear();
  innermost = &frame->call;
  return frame;
}

void finish(const at::RecordFunction& function, at::ObserverContext* context) {
  if (!context) return;
  OperationCall& call = static_cast<Frame*>(context)->call;
  innermost = call.outer;
  WatchSession* session = WatchSession::current();
  if (!session) return;
  std::vector<at::Tensor> outputs;
  for (const c10::IValue& output : function.outputs()) add_tensors(output, outputs);
  const InSink in_sink_scope;
  session->visit([&](OperationSink& sink) { sink.end(call, outputs); });
}

at::RecordFunctionCallback callback() {
  return at::RecordFunctionCallback(start, finish)
      .needsInputs(true)
      .needsOutputs(true)
      .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION,
               at::RecordScope::USER_SCOPE});
}

}  // namespace

const OperationCall* OperationCall::enclosing(Kind wanted) const {
  const OperationCall* call = outer;
  while (call && call->kind != wanted) call = call->outer;
  return call;
}

bool is_view_of_input(const OperationCall& call, const at::Tensor& output) {
  if (!output.has_storage()) return false;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    if (!call.inputs[i].has_storage() || !call.inputs[i].is_alias_of(output)) continue;
    return !output.is_inference() && !call.inputs[i].is_inference() &&
           static_cast<std::uint32_t>(output._version()) == call.versions[i];
  }
  return false;
}

struct OperationWatch::State {
  explicit State(std::shared_ptr<WatchSession> session)
      : watched(WatchSession::current() != nullptr), session(session), guard(slot(), session) {}

  bool watched;  // by another, whose callbacks serve
  std::shared_ptr<WatchSession> session;
  c10::DebugInfoGuard guard;
  at::CallbackHandle handle = at::INVALID_CALLBACK_HANDLE;
};

OperationWatch::OperationWatch(std::shared_ptr<OperationSink> sink) {
  auto session = std::make_shared<WatchSession>();
  session->sink = std::move(sink);
  state_ = std::make_unique<State>(std::move(session));
  if (!state_->watched) state_->handle = at::addThreadLocalCallback(callback());
}

OperationWatch::~OperationWatch() {
  if (!state_->watched) at::removeCallback(state_->handle);
  const std::lock_guard lock(state_->session->mutex);
  state_->session->sink.reset();
}

void OperationWatch::rethrow() const {
  const std::lock_guard lock(state_->session->mutex);
  if (state_->session->failed) std::rethrow_exception(state_->session->failed);
}

}  // namespace halftone::numerics
