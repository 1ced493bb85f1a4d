#include "checkpoint/pickle.h"

#include <bit>

namespace farthing::checkpoint::pickle {
namespace {

// Limits that no honest checkpoint comes near: a tensor takes about 20 values, 15 memo entries and 250 bytes.
constexpr std::size_t kMaxBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxValues = std::size_t{4} << 20;
constexpr std::size_t kMaxMemo = std::size_t{4} << 20;
constexpr std::size_t kMaxStack = std::size_t{1} << 20;
constexpr std::size_t kMaxMarks = 1000;  // containers that are open at the same time

// Opcodes by the names that pickletools gives them.
enum Opcode : std::uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kBinFloat = 'G',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kBinBytes8 = 0x8e,
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kBinPut = 'q',
  kLongBinPut = 'r',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kMemoize = 0x94,
  kGlobal = 'c',
  kStackGlobal = 0x93,
  kReduce = 'R',
  kNewObj = 0x81,
  kBuild = 'b',
  kBinPersId = 'Q',
  kProto = 0x80,
  kFrame = 0x95,
};

constexpr const char* kSaveAgain =
    "nothing in a checkpoint is executed; save the weights alone, as model.save_pretrained(folder) does, and "
    "use that folder";

}  // namespace

Unpickler::Unpickler(std::span<const std::byte> bytes, std::string file, std::size_t position)
    : reader_(bytes, std::move(file), position) {}

const Value& Unpickler::load() {
  stack_.clear();
  marks_.clear();
  memo_.clear();
  const std::size_t begin = position();
  while (true) {
    const auto opcode = reader_.number<std::uint8_t>();
    if (position() - begin > kMaxBytes) fail("it is impossibly long");
    if (opcode == kStop) return *pop();
    if (!push_constant(opcode) && !push_text(opcode) && !use_memo(opcode) && !build_container(opcode) &&
        !call_symbol(opcode)) {
      fail(fmt::format("opcode 0x{:02x} has no use in weights", opcode));
    }
  }
}

std::vector<const Storage*> Unpickler::storages() const {
  std::vector<const Storage*> result;
  for (const Value& value : values_) {
    if (const auto* storage = value.get<Storage>()) result.push_back(storage);
  }
  return result;
}

bool Unpickler::push_constant(std::uint8_t opcode) {
  switch (opcode) {
    case kProto:
      reader_.skip(1);
      return true;
    case kFrame:
      reader_.skip(8);
      return true;
    case kNone:
      push(add(None{}));
      return true;
    case kNewTrue:
      push(add(true));
      return true;
    case kNewFalse:
      push(add(false));
      return true;
    case kBinInt:
      push(add(std::int64_t{reader_.number<std::int32_t>()}));
      return true;
    case kBinInt1:
      push(add(std::int64_t{reader_.number<std::uint8_t>()}));
      return true;
    case kBinInt2:
      push(add(std::int64_t{reader_.number<std::uint16_t>()}));
      return true;
    case kLong1:
      push(integer(reader_.number<std::uint8_t>()));
      return true;
    case kLong4:
      push(integer(reader_.number<std::uint32_t>()));
      return true;
    case kBinFloat: {
      const auto big_endian = reader_.number<std::uint64_t>();
      push(add(std::bit_cast<double>(__builtin_bswap64(big_endian))));
      return true;
    }
    default:
      return false;
  }
}

bool Unpickler::push_text(std::uint8_t opcode) {
  std::uint64_t length = 0;
  switch (opcode) {
    case kShortBinString:
    case kShortBinUnicode:
    case kShortBinBytes:
      length = reader_.number<std::uint8_t>();
      break;
    case kBinString:
    case kBinUnicode:
    case kBinBytes:
      length = reader_.number<std::uint32_t>();
      break;
    case kBinUnicode8:
    case kBinBytes8:
      length = reader_.number<std::uint64_t>();
      break;
    default:
      return false;
  }
  push(add(std::string(reader_.take(length))));
  return true;
}

bool Unpickler::use_memo(std::uint8_t opcode) {
  switch (opcode) {
    case kBinPut:
      memoize(reader_.number<std::uint8_t>());
      return true;
    case kLongBinPut:
      memoize(reader_.number<std::uint32_t>());
      return true;
    case kMemoize:
      memoize(static_cast<std::uint32_t>(memo_.size()));
      return true;
    case kBinGet:
      push(recall(reader_.number<std::uint8_t>()));
      return true;
    case kLongBinGet:
      push(recall(reader_.number<std::uint32_t>()));
      return true;
    default:
      return false;
  }
}

bool Unpickler::build_container(std::uint8_t opcode) {
  switch (opcode) {
    case kMark:
      if (marks_.size() == kMaxMarks) fail("it is nested too deeply");
      marks_.push_back(stack_.size());
      return true;
    case kPop:
      pop();
      return true;
    case kPopMark:
      pop_to_mark();
      return true;
    case kEmptyTuple:
      push(add(Tuple{}));
      return true;
    case kTuple:
      push(add(Tuple{pop_to_mark()}));
      return true;
    case kTuple1:
      push(tuple_of(1));
      return true;
    case kTuple2:
      push(tuple_of(2));
      return true;
    case kTuple3:
      push(tuple_of(3));
      return true;
    case kEmptyList:
      push(add(List{}));
      return true;
    case kAppend:
      append_to_list({pop()});
      return true;
    case kAppends:
      append_to_list(pop_to_mark());
      return true;
    case kEmptyDict:
      push(add(Dict{}));
      return true;
    case kSetItem: {
      const Ref value = pop(), key = pop();
      set_items({key, value});
      return true;
    }
    case kSetItems:
      set_items(pop_to_mark());
      return true;
    case kEmptySet:
      push(add(Opaque{}));
      return true;
    case kAddItems:
      pop_to_mark();
      if (!top()->get<Opaque>()) fail("items are added to something that is not a set");
      return true;
    default:
      return false;
  }
}

bool Unpickler::call_symbol(std::uint8_t opcode) {
  switch (opcode) {
    case kGlobal: {
      const std::string_view module = reader_.line(), name = reader_.line();
      push(symbol(module, name));
      return true;
    }
    case kStackGlobal: {
      const Ref name = pop(), module = pop();
      if (!name->get<std::string>() || !module->get<std::string>()) fail("a global has no name");
      push(symbol(*module->get<std::string>(), *name->get<std::string>()));
      return true;
    }
    case kReduce:
    case kNewObj: {
      const Ref arguments = pop(), callee = pop();
      if (!callee->get<Symbol>() || !arguments->get<Tuple>())
        fail("something that is not a function is called");
      std::optional<Value> result = interpret_call(*callee->get<Symbol>(), arguments->get<Tuple>()->items);
      if (!result)
        fail(fmt::format("{} is called with arguments that make no tensor", callee->get<Symbol>()->name));
      push(add(std::move(result->data)));
      return true;
    }
    case kBuild:  // attributes of a dictionary, such as _metadata: of no use here
      pop();
      if (!top()->get<Dict>()) fail("attributes are set on something that is not a dictionary");
      return true;
    case kBinPersId: {
      std::optional<Storage> storage = interpret_persistent_id(*pop());
      if (!storage) fail("a persistent id is not a storage");
      push(add(std::move(*storage)));
      return true;
    }
    default:
      return false;
  }
}

template <typename T>
Ref Unpickler::add(T data) {
  if (values_.size() == kMaxValues) fail("it has too many values");
  values_.push_back({std::move(data)});
  return &values_.back();
}

void Unpickler::push(Ref value) {
  if (stack_.size() == kMaxStack) fail("its stack is too deep");
  stack_.push_back(value);
}

Ref Unpickler::pop() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("its stack is empty");
  const Ref value = stack_.back();
  stack_.pop_back();
  return value;
}

Ref Unpickler::top() {
  const Ref value = pop();
  push(value);
  return value;
}

std::vector<Ref> Unpickler::pop_to_mark() {
  if (marks_.empty()) fail("a mark is missing");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Ref> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

Ref Unpickler::tuple_of(std::size_t count) {
  std::vector<Ref> items(count);
  for (std::size_t i = count; i-- > 0;) items[i] = pop();
  return add(Tuple{std::move(items)});
}

void Unpickler::append_to_list(const std::vector<Ref>& items) {
  auto* list = top()->get<List>();
  if (list == nullptr) fail("items are appended to something that is not a list");
  list->items.insert(list->items.end(), items.begin(), items.end());
}

void Unpickler::set_items(const std::vector<Ref>& items) {
  auto* dict = top()->get<Dict>();
  if (dict == nullptr || items.size() % 2 != 0) fail("items are set on something that is not a dictionary");
  for (std::size_t i = 0; i < items.size(); i += 2) dict->items.emplace_back(items[i], items[i + 1]);
}

void Unpickler::memoize(std::uint32_t index) {
  if (memo_.size() == kMaxMemo) fail("its memo is too large");
  memo_[index] = top();
}

Ref Unpickler::recall(std::uint32_t index) {
  const auto found = memo_.find(index);
  if (found == memo_.end()) fail("it recalls a value that it never kept");
  return found->second;
}

Ref Unpickler::integer(std::uint32_t num_bytes) {
  const std::string_view bytes = reader_.take(num_bytes);
  if (bytes.size() > 8) return add(Opaque{});
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
  const bool negative = !bytes.empty() && static_cast<std::int8_t>(bytes.back()) < 0;
  if (negative && bytes.size() < 8) value |= ~std::uint64_t{0} << (8 * bytes.size());
  return add(static_cast<std::int64_t>(value));
}

Ref Unpickler::symbol(std::string_view module, std::string_view name) {
  const std::optional<Symbol> found = find_symbol(module, name);
  FARTHING_REQUIRE(found, Code::kUnsupported, "pickle names something that is not a tensor",
                   {{"file", reader_.file()},
                    {"global", fmt::format("{}.{}", printable(module), printable(name))},
                    {"byte", position()}},
                   kSaveAgain);
  return add(*found);
}

void Unpickler::fail(std::string_view reason) const {
  throw Error(Code::kCorruptData, "pickle cannot be read",
              {{"file", reader_.file()}, {"byte", position()}, {"reason", reason}}, kSaveAgain);
}

}  // namespace farthing::checkpoint::pickle
